"""Execution plans measured before, in one small file: the same machine, shape and torch need no second measurement.

The file is a convenience and nothing depends on it. What cannot be read or does not fit is ignored and measured
again, and a run keeps the plan it started with in its checkpoints.
"""

import contextlib
import hashlib
import json
import math
import os
import platform
import sys
from pathlib import Path

import torch

from gptcore.config import ATTENTION_PATHS, PRECISIONS, ModelConfig, TrainConfig
from gptcore.files import MAX_JSON_BYTES, read_bounded_json, write_json
from gptcore.resources import available_cores

MOST_PLANS = 100  # the oldest go first
NAME = "execution_plans.json"
_FIELDS = {"precision", "attention_path", "threads", "seconds_per_step"}
# What a training step depends on, among all that a config says of a run.
_STEP = ("optimizer", "precision", "attention_path", "threads", "compile", "grow_windows")


def cache_folder() -> Path:
    """Return where this user's caches live: GLASSBOX_CACHE, or `glassbox` in the system's folder for caches."""
    if given := os.environ.get("GLASSBOX_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "glassbox"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/glassbox"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glassbox"


def situation(
    model: ModelConfig, config: TrainConfig, shape: tuple[int, ...], device: torch.device, threads: int
) -> str:
    """Return the name of all that a plan depends on: processor, features, threads, torch, the model and its batch."""
    facts = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processor": dict(torch.cpu.get_capabilities()),  # its name and features
        "system": [platform.system(), platform.machine(), torch.__version__],
        "threads": [threads, available_cores()],
        "model": model.to_dict(),
        "step": [getattr(config, name) for name in _STEP],
        "has_seconds": config.seconds is not None,  # then a step's time is taken from a whole batch
        "shape": list(shape),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def recall(name: str) -> list[dict] | None:
    """Return the plans kept under a name, the chosen one first; None where there are none that make sense."""
    plans = _read().get(name)
    return plans if isinstance(plans, list) and plans and all(map(_is_plan, plans)) else None


def remember(name: str, plans: list[dict]) -> None:
    """Keep plans under a name, the chosen one first; does nothing where they cannot be written."""
    kept = _read()
    kept.pop(name, None)
    newest = dict([*kept.items(), (name, plans)][-MOST_PLANS:])
    with contextlib.suppress(OSError, RuntimeError):  # a read-only disk; a user without a home
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / NAME, newest)


def _read() -> dict[str, object]:
    try:
        kept = read_bounded_json(cache_folder() / NAME, MAX_JSON_BYTES, 100_000)
    except (OSError, ValueError, RuntimeError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _is_plan(plan: object) -> bool:
    if not isinstance(plan, dict) or plan.keys() != _FIELDS:
        return False
    seconds, threads = plan["seconds_per_step"], plan["threads"]
    return (
        plan["precision"] in PRECISIONS[1:]
        and plan["attention_path"] in ATTENTION_PATHS[1:]
        and type(threads) is int
        and 0 < threads <= 4096
        and isinstance(seconds, float)
        and math.isfinite(seconds)
        and seconds >= 0
    )
