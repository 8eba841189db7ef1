"""What happens in a runs folder: the jobs that run and those that wait, for all visitors."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from gptcore.config import ConfigError
from gptcore.resources import resident_bytes
from gptcore.runs.jobs import FOLDERS, TRAINING
from gptcore.runs.queue import Requests, read_request
from gptcore.runs.run import NOT_RUNS, Run


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """One queued job. What nobody knows of it, yet or any more, is None."""

    id: str
    kind: str  # "train", "resume" or "claim"
    owner: str | None  # the beginning of the hash of its first owner's id
    n_owners: int
    position: int | None = None  # in its queue, 1 is next; None while it runs
    seconds: float | None = None  # since its process began
    step: int | None = None
    total_steps: int | None = None
    memory: int | None = None  # resident bytes of its process and that one's children


def list_activity(folder: Path) -> list[Activity]:
    """Return the queued jobs of a runs folder: those that run, then those that wait, in their order."""
    running, waiting = [], []
    for slots in FOLDERS:
        queue = Requests(folder, slots)
        running += [_activity(queue, record) for record in queue.running]
        waiting += [_activity(queue, record, place) for place, record in enumerate(queue.waiting, 1)]
        if slots == TRAINING:
            running += [_activity(queue, {"id": run.id}) for run in _unqueued(folder, queue)]
    return running + waiting


def _unqueued(folder: Path, queue: Requests) -> list[Run]:
    """Return the runs that a command line trains in this folder."""
    runs = [Run(path.parent) for path in folder.glob("*/lock") if path.parent.name not in NOT_RUNS]
    return [run for run in runs if queue.find(run.id) is None and run.is_locked()]


def _activity(queue: Requests, record: Mapping[str, Any], position: int | None = None) -> Activity:
    owners = record.get("owners") or []
    pid = (record.get("launched") or {}).get("pid") if position is None else None
    run = Run(queue.path(record)) if queue.slots == TRAINING else None
    return Activity(
        id=record["id"],
        kind=_kind(record),
        owner=owners[0][:8] if owners else None,
        n_owners=len(owners),
        position=position,
        seconds=_seconds_since_start(pid),
        step=None if run is None else run.last_event().get("step"),
        total_steps=None if run is None else run.config().get("found", {}).get("total_steps"),
        memory=None if pid is None else resident_bytes(pid) or None,
    )


def _kind(record: Mapping[str, Any]) -> str:
    if record.get("resume"):
        return "resume"
    try:
        return read_request(record).kind
    except ConfigError:
        return "train"


def _seconds_since_start(pid: int | None) -> float | None:
    try:
        return None if pid is None else max(0.0, time.time() - psutil.Process(pid).create_time())
    except (psutil.Error, ValueError, TypeError):
        return None
