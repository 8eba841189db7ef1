"""Logs of runs that nothing trained: whole events, as the training loop yields them, for tests that read logs."""

from collections.abc import Iterable
from pathlib import Path

from gptcore.config import PRESETS
from gptcore.training import events
from gptcore.training.events import Event


def _moment(step: int) -> dict:
    return {"step": step, "tokens": 100 * step, "seconds": 0.01 * step}


def start(total_steps: int, **changes) -> Event:
    facts = {
        "config": {"model": PRESETS["nano"].model.to_dict(), "train": {}, "corpus": "stories"},
        "n_parameters": 12_345,
        "total_steps": total_steps,
        "floor": 1.0,
        "uniform": 7.6,
        "unigram": 5.2,
        "bigram": 3.0,
        "bytes_per_token": 4.0,
        "device": "cpu",
        "precision": "fp32",
        "attention_path": "fused",
        "threads": 1,
        "measured": [],
        "notes": [],
    }
    return events.Start(**_moment(0), **(facts | changes))


def trained(step: int, loss: float) -> Event:
    return events.Trained(**_moment(step), loss=loss, lr=0.01, grad_norm=1.0, tokens_per_second=9.0)


def evaluated(step: int, loss: float) -> Event:
    return events.Evaluated(**_moment(step), val_loss=loss, perplexity=9.0, bits_per_byte=1.0)


def sampled(step: int, text: str, ladder: dict | None = None) -> Event:
    return events.Sampled(**_moment(step), text=text, prompt="", ladder=ladder)


def done(step: int, reason: str = "steps") -> Event:
    return events.Done(**_moment(step), reason=reason)


def write(folder: Path, log: Iterable[Event]) -> None:
    """Write a log into the folder of a run."""
    (folder / "events.jsonl").write_text("".join(event.to_json() + "\n" for event in log), encoding="utf-8")
