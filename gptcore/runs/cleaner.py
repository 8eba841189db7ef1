"""Removes expired runs and temporary files from a runs folder."""

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gptcore.runs.jobs import FOLDERS, TRAINING, skipped_on_error
from gptcore.runs.limits import LAB_SECONDS, Limits
from gptcore.runs.queue import Requests, read_request
from gptcore.runs.run import NOT_RUNS, Run, delete, folder_lock, list_runs, request_file


class Cleaner:
    """Removes lab runs after an hour, texts that no run will read, runs idle for long, and what a killed
    process left half written.

    How long a run has been over is counted by this process's own clock, from what the file's time says when it
    is first seen: a clock that is set forward removes nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self._over_since: dict[Path, float] = {}
        self._unread: set[Path] = set()

    def clean(self, folder: Path, limits: Limits) -> list[str]:
        """Clean a runs folder once; return the names of what was removed."""
        removed = []
        for run in list_runs(folder=folder):
            with skipped_on_error(run.folder):
                if self._is_kept_too_long(run, limits):
                    delete(run)
                    self._over_since.pop(run.folder, None)
                    removed.append(run.id)
        for clean in (self._clean_texts, self._clean_leftovers):
            with skipped_on_error(folder):
                removed += clean(folder)
        return removed

    def _is_kept_too_long(self, run: Run, limits: Limits) -> bool:
        is_lab = bool(run.request().get("lab"))
        keep = LAB_SECONDS if is_lab else limits.keep_hours * 3600
        if keep == float("inf") or run.is_under_way():
            self._over_since.pop(run.folder, None)
            return False
        now = self.clock()
        return now - self._over_since.setdefault(run.folder, now - _age(run)) > keep

    def _clean_texts(self, folder: Path) -> list[str]:
        """Remove texts that no run is going to read; one that has just been written has a round to be asked for."""
        texts = set((folder / NOT_RUNS[0]).glob("*.txt"))
        with folder_lock(folder):
            needed = {
                _corpus_of(record)
                for record in Requests(folder, TRAINING).records
                if record.get("waiting") or Run(folder / record["id"]).state() == "starting"
            }
            unread = {path for path in texts if str(path) not in needed}
            expired = unread & self._unread
            for path in expired:
                path.unlink(missing_ok=True)
        self._unread = unread - expired
        return [path.name for path in expired]

    def _clean_leftovers(self, folder: Path) -> list[str]:
        """Remove what a killed process left half written or unpacked an hour ago: every such name begins with a dot."""
        now = self.clock()
        hidden = [path for name in FOLDERS.values() for path in (folder / name).glob(".*")]
        leftovers = [path for path in hidden if path.name != ".lock"]
        expired = [path for path in leftovers if now - self._over_since.setdefault(path, now) > LAB_SECONDS]
        for path in expired:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            self._over_since.pop(path)
        return [path.name for path in expired]


def _corpus_of(record: Mapping[str, Any]) -> str | None:
    """Return the text that a request file names; None where it cannot be read."""
    try:
        return read_request(record).corpus
    except ValueError:
        return None


def _age(run: Run) -> float:
    """Return the seconds since a run's log last changed, as far as the files tell."""
    for path in (run.folder / "events.jsonl", request_file(run.folder)):
        try:
            return max(0.0, time.time() - path.stat().st_mtime)
        except OSError:
            continue
    return 0.0
