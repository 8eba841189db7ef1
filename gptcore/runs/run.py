"""A training run is a directory that any process can read.

The process that trains writes it (`recorder.py`), any other watches it (`Run`): its events, its state, its model.
Who may start one and when is decided in `queue.py`. The server that shows a page never trains.

    config.json     what was asked for, and what was found by measuring
    tokenizer.json  corpus.txt (the text, where it was a file)
    events.jsonl    one event a line, appended
    control.json    what a watcher wants: {"pause": true} or {"stop": true}
    lock            held by the process that trains, for as long as it lives
    latest/         model, optimizer and position; previous/ is the one before
    history/        the weights alone, step 0 among them

Beside it, where it was asked for through the app, stand `ID.request.json` (what was asked, by whom, and its turn
in the queue) and `ID.log` (what its process said on standard error).
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from gptcore.files import MAX_JSON_BYTES, move, open_file, read_bytes, read_json, write_json
from gptcore.resources import process_is_running
from gptcore.runs import records
from gptcore.runs.jobs import last_error
from gptcore.runs.records import RecordError, parse_event

FORMAT = "glassbox-run-1"
LONGEST_LINE = 65_536  # bytes; a sample of text is the longest event
LONGEST_NAME = 60  # characters
RUN_ID = re.compile(r"[a-z0-9_-]{1,64}")
STEP = re.compile(rb'\{"event": ?"step"')  # how the line of a step begins
ALIVE = ("starting", "running")  # states
UNDER_WAY = ("waiting", *ALIVE)
PENDING, RUNNING, ENDED = "pending", "running", "ended"  # what a Ray cluster says of the job of a run


class RunError(ValueError):
    """A folder that cannot be used as a run."""


def runs_folder() -> Path:
    """Return where runs live: GLASSBOX_RUNS, or `runs` in the working directory."""
    return Path(os.environ.get("GLASSBOX_RUNS") or "runs").absolute()


def request_file(folder: Path) -> Path:
    """Return the file next to a run's folder with its request, owners and position in the queue."""
    return folder.with_name(folder.name + ".request.json")


def log_file(folder: Path) -> Path:
    """Return the file next to a run's folder with the standard error of its process."""
    return folder.with_name(folder.name + ".log")


def progress_file(folder: Path) -> Path:
    """Return the file next to it with the progress of a job."""
    return folder.with_name(folder.name + ".progress")


def read_record(path: Path) -> dict[str, Any]:
    """Return what a request file says; empty where there is none, or it is damaged."""
    try:
        return records.parse_request(read_bytes(path, MAX_JSON_BYTES))
    except (OSError, RecordError):
        return {}


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock under which requests of a runs folder change, whichever server wants to; raises RunError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=20)
        lock.acquire()
    except Timeout as error:
        raise RunError(f"another process has locked {folder} for 20 seconds; try again") from error
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


class Run:
    """One run as a watcher sees it. It may be read while it is being written."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other.folder == self.folder

    def __hash__(self) -> int:
        return hash(self.folder)

    @property
    def id(self) -> str:
        return self.folder.name

    @classmethod
    def by_id(cls, run_id: str) -> Self:
        """Return the run of this id in the runs folder; raises RunError if there is none."""
        folder = runs_folder() / run_id
        known = RUN_ID.fullmatch(run_id) and (folder.is_dir() or request_file(folder).is_file())
        if not known or run_id in NOT_RUNS:
            raise RunError(f"there is no run {run_id[:64]!r} here")
        return cls(folder)

    def events(self, since: int = 0, most_steps: int | None = None) -> tuple[list[dict[str, Any]], int]:
        """Return the events after byte `since` of the log, and the byte to continue from.

        With `most_steps` the steps among them are thinned evenly to about that many, the last one kept; all
        other events are there.
        """
        try:
            with open_file(self.folder / "events.jsonl") as log:
                log.seek(since)
                fresh = log.read()
        except OSError:
            return [], since
        whole = fresh[: fresh.rfind(b"\n") + 1]  # a line still being written waits
        lines = whole.splitlines()
        if most_steps is not None and len(lines) > most_steps:
            lines = _thinned(lines, most_steps)
        events = (parse_event(line) for line in lines)
        return [event for event in events if event is not None], since + len(whole)

    def config(self) -> dict[str, Any]:
        """Return what was asked for and found; empty while the run is starting, and where the file is damaged."""
        try:
            return records.parse_config(read_bytes(self.folder / "config.json", MAX_JSON_BYTES))
        except (OSError, RecordError):
            return {}

    def request(self) -> dict[str, Any]:
        """Return the request made through the app; empty for a run that a command line started."""
        return read_record(request_file(self.folder))

    def owners(self) -> list[str]:
        """Return who asked for this run, the one it obeys first; empty if unknown."""
        request = self.request()
        if request:
            return list(request.get("owners") or [])
        owner = self.config().get("owner")
        return [owner] if owner else []

    def name(self) -> str:
        """Return the name somebody gave the run, or an empty string."""
        return str(self.request().get("name") or "")

    def requested_at(self) -> float:
        """Return when the run was asked for, in seconds since 1970; for showing and sorting only."""
        if (seconds := self.request().get("asked")) is not None:
            return seconds
        for path in (self.folder / "tokenizer.json", self.folder):
            with contextlib.suppress(OSError):
                return path.stat().st_mtime
        return 0.0

    def state(self) -> str:
        """Return `waiting`, `starting`, `running`, `paused`, `interrupted`, `done` or `failed`."""
        request = self.request()
        if request.get("waiting"):
            return "waiting"
        launched = request.get("launched") or {}
        has_begun = self.log_size() != launched.get("log_size", -1)
        # A resumed run has its old last event in the log until its process has read the checkpoint.
        if launched and not has_begun:
            if process_is_running(launched) or launched.get("ray_status") == RUNNING:
                return "running" if self.is_locked() else "starting"
            if last_error(log_file(self.folder)) is not None:
                return "failed"
        is_locked = self.is_locked()  # asked first: a run that ends meanwhile has written its last event
        last = self.last_event()
        match last.get("event"):
            case "done":
                return "paused" if last["reason"] == "paused" else "done"
            case "failed":
                return "failed"
        if is_locked:
            return "running"
        if self.failure() is not None:
            return "failed"
        return "interrupted"

    def failure(self) -> str | None:
        """Return the one sentence with which a run ended badly, or None; it names no path of this machine."""
        if (problem := self.problem()) is not None:
            return problem
        last = self.last_event()
        reason = last["reason"] if last.get("event") == "failed" else last_error(log_file(self.folder))
        if reason is None:
            return None
        return reason.replace(f"{self.folder}{os.sep}", "").replace(str(self.folder), self.id)

    def problem(self) -> str | None:
        """Return why this version cannot resume this run, or None."""
        if not self.folder.is_dir():
            return None
        path = self.folder / "config.json"
        if not path.is_file():
            damaged = (self.folder / "events.jsonl").is_file()
            return f"{self.id} has lost its config.json; its model can still be used" if damaged else None
        version = self.config().get("format")
        if version is None:
            return f"the config.json of {self.id} cannot be read; its model can still be used"
        if version != FORMAT:
            return (
                f"{self.id} was written by another version of Glassbox ({version}); this one reads {FORMAT}"
            )
        return None

    def is_finished(self) -> bool:
        """Return whether the run is complete; a stopped or paused one did not."""
        last = self.last_event()
        return last.get("event") == "done" and last["reason"] in ("steps", "seconds")

    def is_alive(self) -> bool:
        """Return whether a process works on this run, or is about to."""
        return self.state() in ALIVE

    def is_under_way(self) -> bool:
        """Return whether a process works on this run, is about to, or the run waits in the queue."""
        return self.state() in UNDER_WAY

    def has_checkpoint(self) -> bool:
        """Return whether there is a checkpoint to resume from."""
        return any((self.folder / name / "state.json").is_file() for name in ("latest", "previous"))

    def can_resume(self) -> bool:
        """Return whether resuming makes sense: it has not ended, and where it failed it was by accident."""
        if self.problem() is not None or not self.has_checkpoint() or self.is_finished():
            return False
        last = self.last_event()
        return last.get("event") != "failed" or bool(last.get("resumes"))

    def action(self) -> str | None:
        """Return the one thing that helps in this state: `withdraw`, `pause`, `resume`, `delete` or nothing."""
        state = self.state()
        if state == "waiting":
            return "withdraw"
        if state == "running":
            return "pause"
        if state in ("paused", "interrupted", "failed") or (state == "done" and not self.is_finished()):
            return "resume" if self.can_resume() else "delete"
        return None

    def requested_action(self) -> str | None:
        """Return the pending request to the run: `pause`, `stop` or nothing."""
        requested = read_json(self.folder / "control.json")
        return next((action for action in ("stop", "pause") if requested.get(action)), None)

    def stop(self) -> None:
        """Ask the run to stop at its next step and keep its weights."""
        self._request("stop")

    def pause(self) -> None:
        """Ask the run to pause at its next step, to be resumed later."""
        self._request("pause")

    def _request(self, action: str) -> None:
        if self.is_locked():
            write_json(self.folder / "control.json", {action: True})

    def last_event(self) -> dict[str, Any]:
        """Return the last event, without reading the log from its start; empty if there is none."""
        try:
            with open_file(self.folder / "events.jsonl") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LONGEST_LINE))
                lines = log.read().splitlines()
        except OSError:
            return {}
        return next((event for event in map(parse_event, reversed(lines)) if event is not None), {})

    def log_identity(self) -> int:
        """Return a number that changes when the log is truncated and rewritten, as by a resumed run."""
        try:
            return (self.folder / "events.jsonl").stat().st_ino
        except OSError:
            return 0

    def log_size(self) -> int:
        """Return the bytes of the log."""
        try:
            return (self.folder / "events.jsonl").stat().st_size
        except OSError:
            return 0

    def is_locked(self) -> bool:
        """Return whether a process holds the run's lock, that is, trains."""
        if not (self.folder / "lock").is_file():
            return False
        try:
            with FileLock(self.folder / "lock", timeout=0):
                return False
        except (Timeout, OSError):
            return True


NOT_RUNS = ("texts", "arena", "claims")
UNPACKING = (".import-", ".incoming-")  # how folders begin that a brought model or zip is unpacked in


def _thinned(lines: list[bytes], most: int) -> list[bytes]:
    """Leave out steps evenly until about `most` are left; what is no step stays, and so does the last line."""
    is_step = [STEP.match(line) is not None for line in lines]
    every = -(-sum(is_step) // most)
    kept, seen = [], 0
    for line, step in zip(lines, is_step):
        seen += step
        if not step or seen % every == 0:
            kept.append(line)
    if is_step[-1] and kept[-1] is not lines[-1]:
        kept.append(lines[-1])
    return kept


def list_runs(owner: str | None = None, folder: Path | None = None) -> list[Run]:
    """Return the runs of the runs folder, the newest first; with `owner`, only this visitor's runs."""
    folder = folder or runs_folder()
    if not folder.is_dir():
        return []
    names = {path.name.removesuffix(".request.json") for path in folder.glob("*.request.json")}
    names |= {path.parent.name for path in folder.glob("*/config.json")}
    runs = [Run(folder / name) for name in names if RUN_ID.fullmatch(name) and name not in NOT_RUNS]
    if owner is not None:
        runs = [run for run in runs if owner in run.owners()]
    return sorted(runs, key=lambda run: (run.requested_at(), run.id), reverse=True)


def rename(run: Run, name: str) -> None:
    """Rename a run; an empty one takes it away. Raises RunError where it is too long."""
    name = " ".join(name.split())
    if len(name) > LONGEST_NAME:
        raise RunError(f"a name of {len(name)} characters is too long; use at most {LONGEST_NAME}")
    with folder_lock(run.folder.parent):
        write_json(request_file(run.folder), run.request() | {"name": name})


def delete(run: Run) -> None:
    """Remove a run and all it wrote; raises RunError while a process trains in it."""
    with folder_lock(run.folder.parent):
        if run.is_alive():
            raise RunError(f"{run.id} is being trained; stop it first")
        going = run.folder.with_name(f".{run.id}-going")
        shutil.rmtree(going, ignore_errors=True)
        if run.folder.is_dir():
            move(run.folder, going)  # gone in one move; what takes time comes after
        for path in (log_file(run.folder), request_file(run.folder)):
            if path.is_dir():  # no run writes that, and it can be deleted all the same
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
    shutil.rmtree(going, ignore_errors=True)


def release(run: Run, owner: str) -> int:
    """Take one of several who asked for a run off its list; return how many are left, who keep it.

    The last one is not taken off: the last owner stays.
    """
    with folder_lock(run.folder.parent):
        request = run.request()
        remaining = [other for other in request.get("owners") or [] if other != owner]
        if remaining and owner in request["owners"]:
            write_json(request_file(run.folder), request | {"owners": remaining})
    return len(remaining)


def differences(runs: Iterable[Run]) -> dict[str, list[Any]]:
    """Return every choice in which runs differ, with each run's value; None where a run has none.

    The configs of model and training count, the text, and what was found by measuring.
    """
    flat = []
    for run in runs:
        config = run.config()
        parts = (config.get("model"), config.get("train"), config.get("found"))
        choices = {"corpus": config.get("corpus_name")}
        for part in parts:
            choices |= part or {}
        flat.append(choices)
    fields = dict.fromkeys(field for choices in flat for field in choices)
    values = {field: [choices.get(field) for choices in flat] for field in fields}
    return {field: row for field, row in values.items() if any(value != row[0] for value in row)}
