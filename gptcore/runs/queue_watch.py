"""Watches the processes of queued jobs and stops those that exceed their limit of memory or time.

A run outlives the supervisor that started it, so the request files name the processes, and a later supervisor
continues to watch them. A run on another machine watches itself.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from gptcore.resources import end_process, resident_bytes
from gptcore.runs.jobs import TRAINING, append_error, skipped_on_error
from gptcore.runs.limits import MEGABYTE, Limits
from gptcore.runs.queue import launched_processes
from gptcore.runs.run import log_file

SPARE_SECONDS = 300.0  # in which a run reads its text, measures its speed and saves what it learned


def most_seconds(limits: Limits) -> float:
    """Return how long a run's process may live, by the clock: far longer than a run that listens needs."""
    return 2 * limits.seconds + SPARE_SECONDS


def memory_sentence(n_bytes: int, limit_mb: float) -> str | None:
    """Return the sentence about a job that holds this much memory; None where that is allowed."""
    if n_bytes <= limit_mb * MEGABYTE:
        return None
    return (
        f"it used {n_bytes / MEGABYTE:,.0f} MB of memory, more than the {limit_mb:,.0f} MB allowed "
        "here, and was stopped; use a smaller model or batch"
    )


class QueueWatch:
    """Knows since when each process of a queued job has been seen, by this process's own clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self._first_seen: dict[
            Path, dict[tuple[int, int], float]
        ] = {}  # of each runs folder, by pid and birth

    def check(self, folder: Path, limits: Limits) -> bool:
        """End what goes beyond its limits in a runs folder; return whether any process of its queues is running."""
        before, now = self._first_seen.get(folder, {}), self.clock()
        seen = self._first_seen[folder] = {}
        for slots, path, launched in launched_processes(folder):
            with skipped_on_error(path):
                identity = launched["pid"], launched["born"]
                seen[identity] = before.get(identity, now)
                lived = now - seen[identity] if slots == TRAINING else 0.0
                sentence = memory_sentence(resident_bytes(launched["pid"]), limits.memory_mb)
                sentence = sentence or _lifetime_sentence(lived, limits)
                if sentence is not None:
                    append_error(log_file(path), sentence)
                    end_process(launched["pid"])
        return bool(seen)


def watch_this_process(log: Path, seconds: float = 1.0) -> None:
    """End this process where it goes beyond its limits, and say so in the log; look every `seconds`."""
    limits, begun = Limits.from_environment(), time.monotonic()
    while True:
        sentence = memory_sentence(resident_bytes(os.getpid()), limits.memory_mb)
        sentence = sentence or _lifetime_sentence(time.monotonic() - begun, limits)
        if sentence is not None:
            append_error(log, sentence)
            end_process(os.getpid())
        time.sleep(seconds)


def _lifetime_sentence(lived: float, limits: Limits) -> str | None:
    if lived <= most_seconds(limits):
        return None
    return (
        f"it did not end: its process ran for {lived:,.0f} seconds, far longer than the "
        f"{limits.seconds:,.0f} seconds it may train here, and was stopped"
    )
