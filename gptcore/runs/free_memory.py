"""Whether the memory that is free holds one more run: asked before a run is requested, and when its turn comes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from gptcore.config import ConfigError, ModelConfig, TrainConfig
from gptcore.resources import unused_memory
from gptcore.runs import queue
from gptcore.runs.jobs import TRAINING
from gptcore.runs.limits import LimitError, Limits, run_bytes
from gptcore.runs.run import RunError


def lack_of_memory(folder: Path, model: ModelConfig, train: TrainConfig) -> str | None:
    """Return why a run of this runs folder cannot begin here now, in one sentence; None where memory is free for it.

    What the runs that train already will still take is not free.
    """
    try:
        limits = Limits.from_environment()
        limits.check_free_memory(model, train, max(0, unused_memory() - _promised(folder)))
    except LimitError as error:
        return str(error)
    return None


def lack_of_request(requests: queue.Requests, record: Mapping[str, Any]) -> str | None:
    """Return the same for a run that waits in the queue; raises ConfigError or RunError."""
    return lack_of_memory(requests.folder, *queue.record_configs(requests, record))


def _promised(folder: Path) -> int:
    """Return the bytes that the runs of a folder need and have not taken yet, as one that has just begun."""
    requests, promised = queue.Requests(folder, TRAINING), 0
    for record in requests.records:
        pid = (record.get("launched") or {}).get("pid")
        if not pid or not requests.is_running(record):
            continue
        try:
            needed = run_bytes(*queue.record_configs(requests, record))
            taken = psutil.Process(pid).memory_full_info()
            promised += max(0, needed - getattr(taken, "uss", taken.rss))
        except (ConfigError, RunError, psutil.Error):
            continue  # it has just ended, or cannot be trained
    return promised
