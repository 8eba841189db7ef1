"""One file for all chapters: a script or a notebook that trains a model, saves it and generates text.

The script is text made from the settings; it imports `gptcore` and nothing of Glassbox's pages. Its loop is
written out, so that all of training can be read in one place.
"""

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gptcore.checkpoint import model_folder, read_folder
from gptcore.config import PRESETS, ConfigError, ModelConfig, TrainConfig
from gptcore.files import read_json
from gptcore.tokenizer import story_tokenizer

STEPS = 400
# What a run decides for itself, or what only observes it: the script has no use for it.
_NOT_IN_SCRIPT = (
    "steps", "seconds", "precision", "attention_path", "threads", "n_evals", "n_samples", "window_length",
    "compile", "fault",
)  # fmt: skip
# What the script takes from the library, all of it from the top level, so that no move of a module breaks it.
_IMPORTS = (
    "GPT", "ModelConfig", "TrainConfig", "Windows", "clip_gradients", "fixed_batches", "generate", "learning_rate",
    "load", "load_corpus", "make_optimizers", "prepare_corpus", "save", "split_windows", "window_cuts",
)  # fmt: skip
_PART = re.compile(r"^# ([\d.]+ · .+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What a script is made from. `tokenizer` is `story`, `gpt2` or a file; `corpus` as for `load_corpus`."""

    model: ModelConfig
    train: TrainConfig
    steps: int = STEPS
    corpus: str = "stories"
    tokenizer: str = "story"
    prompt: str = "Once upon a time"


def recipe_of_run(folder: str | Path) -> Recipe:
    """Return the recipe of a run, or of a saved model with the nano preset's training.

    Raises CheckpointError for a folder that holds no model, ConfigError for a run that was broken on purpose.
    """
    saved = model_folder(folder)
    model, tokenizer = read_folder(saved)
    described = read_json(Path(folder) / "config.json") or {}
    ours = tokenizer.ranks == story_tokenizer().ranks
    known = {field.name for field in fields(TrainConfig)}
    described_train, measured = (described.get(part) for part in ("train", "found"))
    settings = {name: value for name, value in _object(described_train).items() if name in known}
    train = TrainConfig.from_dict(settings) if settings else PRESETS["nano"].train
    if train.fault != "none":
        raise ConfigError(
            f"this run was broken on purpose (fault={train.fault}) and cannot be exported; set fault=none"
        )
    return Recipe(
        model=model.config,
        train=train,
        steps=TrainConfig(steps=_object(measured).get("total_steps")).steps or train.steps or STEPS,
        corpus=str(described.get("corpus") or "stories"),
        tokenizer="story" if ours else str((saved / "tokenizer.json").resolve()),
        prompt="Once upon a time" if ours else "",
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _call(config: ModelConfig | TrainConfig, leave_out: tuple[str, ...] = ()) -> str:
    values = config.to_dict()  # which holds plain values only
    lines = [f"    {name}={_literal(values[name])}," for name in config.changes_from(leave_out=leave_out)]
    return "\n".join([f"{type(config).__name__}(", *lines, ")"])


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def script(recipe: Recipe) -> str:
    """Return the text of the script, about 100 lines."""
    tokenizers = {"story": "story_tokenizer()", "gpt2": 'load_tiktoken("gpt2")'}
    tokenizer = tokenizers.get(recipe.tokenizer, f"Tokenizer.load({_literal(recipe.tokenizer)})")
    maker = re.match(r"\w+", tokenizer)[0]
    imports = "\n".join(f"    {name}," for name in sorted({*_IMPORTS, maker}, key=_import_order))
    text = _TEXT.format(tokenizer=tokenizer, corpus=_literal(recipe.corpus))
    head = _HEAD.format(imports=imports) + settings_part(recipe)
    return head + text + WINDOWS + MODEL + VALIDATION_LOSS + _WRITE + TRAINING + _SAVE


def settings_part(recipe: Recipe, files: str = 'OUT = "my-model"') -> str:
    """Return the part of a script that says the settings of its model and training, and in `files` what is where."""
    known = {field.name for field in fields(TrainConfig)}
    return SETTINGS.format(
        model=_call(recipe.model),
        train=_call(recipe.train, tuple(name for name in _NOT_IN_SCRIPT if name in known)),
        steps=recipe.steps,
        prompt=_literal(recipe.prompt),
        files=files,
    )


def _import_order(name: str) -> tuple[int, str]:
    """Return the key that sorts names as isort does: constants, classes, functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def notebook(recipe: Recipe) -> dict[str, Any]:
    """Return the script as a notebook."""
    return as_notebook(script(recipe))


def as_notebook(script: str) -> dict[str, Any]:
    """Return a script as a notebook (nbformat 4.5): one part a cell, its heading in Markdown above it."""
    head, *parts = _PART.split(script)
    docstring, _, imports = head.partition('"""\n\n')
    cells = [
        _cell("markdown", "# A language model from scratch\n\n" + docstring.strip('"\n')),
        _cell("code", imports),
    ]
    for title, code in zip(parts[::2], parts[1::2], strict=True):
        cells += [_cell("markdown", f"## {title}"), _cell("code", code)]
    for number, cell in enumerate(cells):
        cell["id"] = f"part-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(kind: str, text: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "metadata": {}, "source": text.strip("\n").splitlines(keepends=True)}
    return cell | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def write_recipe(recipe: Recipe, kind: str, out: str | Path) -> Path:
    """Write the `script` or the `notebook` into a new file; raises ValueError where one stands already."""
    return write_script(script(recipe), kind, out)


def write_script(text: str, kind: str, out: str | Path) -> Path:
    """Write the text of a script as a `script` or a `notebook`; raises ValueError where `out` exists."""
    out = Path(out)
    if out.exists():
        raise ValueError(f"{out} already exists; choose a new file name")
    if kind == "notebook":
        text = json.dumps(as_notebook(text), ensure_ascii=False, indent=1) + "\n"
    out.write_text(text, encoding="utf-8")
    return out


_HEAD = '''"""A language model from scratch: train it on text, save it, load it and generate text.

Run it with `python FILE` in an environment where Glassbox is installed, since it imports the library gptcore. Part 1
holds the settings; those that keep their defaults are left out. The chapters named below explain each part.
"""

import math
import time

import torch

from gptcore import (
{imports}
)
'''

# The parts that scripts with and without the library share.
SETTINGS = """
# 1 · The settings of the model and of its training (chapters 7 and 8)
MODEL = {model}
TRAIN = {train}
STEPS = {steps}
PROMPT = {prompt}
{files}
"""

_TEXT = """
# 2 · Text becomes token ids (chapter 2)
tokenizer = {tokenizer}
corpus = load_corpus({corpus})
train_ids, held_out_ids, notes = prepare_corpus(corpus, tokenizer, MODEL.context_length)
"""

WINDOWS = """\
length = min(MODEL.context_length, len(train_ids) - 1)
windows = Windows(train_ids, length, TRAIN.batch_size, TRAIN.seed)
held_out = fixed_batches(held_out_ids, length, TRAIN.batch_size, TRAIN.eval_batches)
print(f"{len(train_ids):,} training tokens, {len(held_out_ids):,} held out")
"""

MODEL = """
# 3 · The model, with its initial weights (chapters 3 to 7)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.manual_seed(TRAIN.seed)  # dropout alone draws from torch's global generator
model = GPT(MODEL, seed=TRAIN.seed).to(device)
optimizers = make_optimizers(model, TRAIN, "fp32")
print(f"{sum(weight.numel() for weight in model.parameters()):,} weights on {device}")
"""

VALIDATION_LOSS = '''

# 4 · Two ways to evaluate it: the loss on held-out text, and the text it generates (chapters 8 and 9)
@torch.inference_mode()
def validation_loss() -> float:
    """Return the mean loss, -ln p, over held-out tokens, in nats."""
    model.eval()  # no dropout
    total = count = 0
    for ids, targets in held_out:
        total += model.loss(ids.to(device), targets.to(device)).item() * targets.numel()
        count += targets.numel()
    return total / count
'''

_WRITE = '''

def write(prompt: str, n_tokens: int = 120, temperature: float = 0.8) -> str:
    """Return the prompt and the text the model generates after it."""
    ids = tokenizer.encode(prompt) or [tokenizer.eot_id]
    room = MODEL.context_length - len(ids)
    stop = (tokenizer.eot_id,)
    steps = generate(model, ids, min(n_tokens, room), temperature=temperature, seed=1, stop_ids=stop)
    return tokenizer.decode([*ids, *(step.token_id for step in steps)])
'''

TRAINING = """

# 5 · Training: predict, measure the loss, update the weights (chapter 8)
started = time.perf_counter()
print(f"before: {validation_loss():.3f} nats per token; a uniform prediction has {math.log(MODEL.vocab_size):.3f}")
for step in range(STEPS):
    rate = learning_rate(step, TRAIN, STEPS)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
    model.train()
    pieces = window_cuts(step, TRAIN, STEPS)  # short windows first, where the settings say so
    mean = 0.0
    for _ in range(TRAIN.accumulation):
        ids, targets = (split_windows(part, pieces).to(device) for part in windows.next())  # (B, T)
        loss = model.loss(ids, targets) / TRAIN.accumulation
        loss.backward()
        mean += loss.item()
    clip_gradients(model, TRAIN.grad_clip)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    if step < 3 or (step + 1) % 50 == 0 or step + 1 == STEPS:
        print(f"step {step + 1:5}  loss {mean:.4f}  rate {rate:.2e}  {time.perf_counter() - started:6.1f} s")
print(f"after: {validation_loss():.3f} nats per token")
"""

_SAVE = """
# 6 · Save it, load it again, generate text (chapters 9 and 10)
save(model, tokenizer, OUT)
model, tokenizer = load(OUT)
print(write(PROMPT))
"""
