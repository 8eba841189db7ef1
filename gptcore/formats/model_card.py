"""The model card of an export: a README.md that says what is known about a model, and nothing else.

The header is what the Hugging Face hub reads. The license is left to the person who publishes it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gptcore.account import n_parameters
from gptcore.config import ModelConfig
from gptcore.files import MAX_JSON_BYTES, read_bytes, read_json

CARD = "README.md"
MAX_NAME = 200  # characters of a name that a run's file gives
PLAIN_SIGNS = " .,:%+-_/()"
SCORES = {  # of the last sample of a run on the stories: the name in its events, and what it means
    "rate": "sentences that the grammar accepts",
    "new": "accepted sentences that are in no training story",
    "pronouns": "pronouns that fit the story",
    "names": "names that the story has introduced",
}

_CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags:
- glassbox
# license: add the license under which you publish this model
---

# {name}

A decoder-only Transformer language model with {parameters:,} parameters, exported by Glassbox.

## Architecture

{architecture}

## Training

{training}

## Evaluation

{evaluation}

## How to load it

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # where this card is, or the model's name on the hub
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
ids = tokenizer("Once upon a time", return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(ids, max_new_tokens=100, do_sample=True)[0]))
```

## Limits

This card was written by the export from the files of the model. Bias, safety and uses were not evaluated.
"""


def model_card(config: ModelConfig, folder: str | Path, name: str) -> str:
    """Return the card of the model with this config; `folder` is the run or saved model that it comes from.

    A run's files may come from a stranger: numbers and plain names are all that is taken from them.
    """
    described = read_json(Path(folder) / "config.json")
    events = _last_events(Path(folder) / "events.jsonl")
    return _CARD.format(
        name=_plain(name),
        parameters=n_parameters(config),
        architecture=_table(_architecture(config)),
        training=_table(_training(described, events))
        or "The files of this model do not say how it was trained.",
        evaluation=_evaluation(events) or "The files of this model say nothing about its quality.",
    )


def _architecture(config: ModelConfig) -> dict[str, Any]:
    return {
        "layers": config.n_layers,
        "width of the residual stream": config.d_model,
        "query heads": config.n_heads,
        "key and value heads": config.n_kv_heads,
        "width of a head": config.head_dim,
        "width of the feed-forward layer": config.d_ff,
        "vocabulary": config.vocab_size,
        "context length": config.context_length,
        "positions": config.position,
        "norm": config.norm,
        "feed-forward layer": config.ffn,
        "embedding and output layer": "one matrix" if config.tie_embeddings else "two matrices",
    }


def _training(described: Mapping[str, Any], events: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a run says about its text and its training."""
    start, last = events.get("start", {}), events.get("done") or events.get("step", {})
    train = described.get("train") if isinstance(described.get("train"), dict) else {}
    known = {
        "text": described.get("corpus_name"),
        "started from": described.get("start_from") and Path(str(described["start_from"])).name,
        "optimizer": train.get("optimizer"),
        "learning rate": train.get("learning_rate"),
        "windows in a batch": train.get("batch_size"),
        "steps": last.get("step"),
        "tokens seen": last.get("tokens"),
        "seconds": last.get("seconds"),
        "precision": start.get("precision"),
        "device": start.get("device"),
    }
    return {name: value for name, value in known.items() if value is not None}


def _evaluation(events: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what a run measured last: on held-out text, and for stories their scores."""
    measured = events.get("eval", {})
    loss = {
        "loss, nats per token": measured.get("val_loss"),
        "perplexity": measured.get("perplexity"),
        "bits per byte": measured.get("bits_per_byte"),
    }
    loss = {name: value for name, value in loss.items() if _is_number(value)}
    step = measured.get("step")
    when = f", at step {_number(step)}" if _is_number(step) else ""
    parts = [f"On held-out windows of the text{when}:\n\n{_table(loss)}"] if loss else []
    scores = events.get("sample", {}).get("ladder")
    scores = scores if isinstance(scores, dict) else {}
    fractions = {
        meaning: f"{scores[name]:.1%}" for name, meaning in SCORES.items() if _is_number(scores.get(name))
    }
    if fractions:
        parts.append(f"Of the stories it samples at temperature 0.8:\n\n{_table(fractions)}")
    return "\n\n".join(parts)


def _last_events(path: Path) -> dict[str, dict[str, Any]]:
    """Return the last event of each kind in a run's log; empty where there is none that can be read."""
    try:
        lines = read_bytes(path, MAX_JSON_BYTES).splitlines()
    except OSError:
        return {}
    last: dict[str, dict[str, Any]] = {}
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            last[event["event"]] = event
    return last


def _table(rows: Mapping[str, Any]) -> str:
    """Return rows as a Markdown table; empty without rows."""
    lines = [
        f"| {name} | {_number(value) if _is_number(value) else _plain(value)} |"
        for name, value in rows.items()
    ]
    return "\n".join(["| | |", "| --- | --- |", *lines]) if lines else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _plain(value: Any) -> str:
    """Return a name without what Markdown or YAML would read as their own."""
    kept = (sign for sign in str(value)[:MAX_NAME] if sign.isalnum() or sign in PLAIN_SIGNS)
    return "".join(kept).strip() or "?"
