"""Who may train, and when: requests for runs, the fair queue they wait in, and their launch.

A request is a file beside the run's directory, so the queue is in the runs folder itself: it outlives a server, and
two servers on one folder share it under a lock. Runs are deterministic, so the same request by thirty visitors is
one run that all of them watch.

The queue is fair between visitors, whatever each of them asks for: a request takes its `turn` when it comes, one
after the visitor's own last one and never before what is being served now, and lower turns go first (start-time
fair queueing; Goyal, Vin, Cheng 1996). No clock is asked.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gptcore.account import n_parameters
from gptcore.files import disk_bytes, read_json, write_json
from gptcore.resources import process_identity
from gptcore.runs.limits import Limits
from gptcore.runs.request import RunRequest
from gptcore.runs.run import (
    Run,
    RunError,
    changing,
    log_of,
    request_of,
    runs_folder,
)

# Blank lines that a run's process writes its last sentence over: room for it on a disk that has filled.
RESERVED = b"\n" * 4096

# Takes the words after `python -m gptcore` and the file for standard error; returns the process's number.
Launch = Callable[[Sequence[str], Path], int]


def submit(
    request: RunRequest,
    *,
    owner: str = "",
    lab: bool = False,
    name: str = "",
    limits: Limits | None = None,
) -> Run:
    """Ask for a run; return it at once, waiting for its turn.

    A run that an equal request has led to, and that is under way or finished, is returned instead. `owner` is
    the hash of who asks. A lab's run keeps its last state alone and is removed after an hour. Raises
    LimitError, ConfigError or RunError.
    """
    limits = limits or Limits.from_environment()
    model, train = request.configs()
    limits.check_parameters(n_parameters(model))
    limits.check_seconds(train.seconds)
    request = request.sealed()
    key = request.key
    folder = runs_folder()
    with changing(folder):
        known = requests(folder)
        for record in known:
            if record.get("key") == key and _is_of_use(run := Run(folder / record["id"])):
                owners = record.get("owners") or []
                if owner not in owners:
                    write_json(request_of(run.folder), record | {"owners": [*owners, owner]})
                return run
        limits.check_disk(disk_bytes(folder))
        run_id = secrets.token_hex(10)
        record = {
            "id": run_id,
            "request": request.to_dict(),
            "key": key,
            "owners": [owner],
            "lab": lab,
            "name": name,
            "asked": round(time.time(), 1),
            **_turn(folder, known, owner, limits),
        }
        write_json(request_of(folder / run_id), record)
    return Run(folder / run_id)


def request_in(record: Mapping[str, Any]) -> RunRequest:
    """Return the request that a request file holds, also one of the first edition; raises ConfigError."""
    return RunRequest.from_dict(record.get("request") or {"arguments": record.get("arguments") or []})


def find_runs(keys: Sequence[str]) -> list[Run | None]:
    """Return for each key of a request the run it has led to: one of use, else the newest, else None."""
    folder = runs_folder()
    by_key: dict[str, list[dict[str, Any]]] = {}
    for request in requests(folder):
        by_key.setdefault(request.get("key", ""), []).append(request)
    best: list[Run | None] = []
    for key in keys:
        newest_first = sorted(by_key.get(key, ()), key=lambda record: record.get("asked", 0), reverse=True)
        runs = [Run(folder / request["id"]) for request in newest_first]
        best.append(next((run for run in runs if _is_of_use(run)), runs[0] if runs else None))
    return best


def ask_to_resume(run: Run, *, owner: str = "", limits: Limits | None = None) -> None:
    """Ask for a run to go on from its last checkpoint, when its turn comes; raises RunError or LimitError."""
    limits = limits or Limits.from_environment()
    with changing(run.folder.parent):
        if run.state() in ("waiting", "starting", "running"):
            return
        if not run.can_resume():
            raise RunError(
                run.problem()
                or (
                    f"{run.id} is finished; there is nothing to resume"
                    if run.is_finished()
                    else f"{run.id} cannot go on: {run.failure() or 'it never made a checkpoint'}"
                )
            )
        known = requests(run.folder.parent)
        request = {"id": run.id, "owners": run.owners() or [owner], "asked": run.born()} | run.request()
        write_json(
            request_of(run.folder),
            request | {"resume": True} | _turn(run.folder.parent, known, owner, limits),
        )


def withdraw(run: Run, owner: str = "") -> None:
    """Take a waiting request back, for this owner; what others wait for stays, and so does a paused run."""
    with changing(run.folder.parent):
        request = run.request()
        if not request.get("waiting"):
            return
        left = [one for one in request.get("owners") or [] if one != owner]
        if request.get("resume"):
            write_json(request_of(run.folder), request | {"waiting": False})
        elif left:
            write_json(request_of(run.folder), request | {"owners": left})
        else:
            request_of(run.folder).unlink(missing_ok=True)


def poll(folder: Path, launch: Launch, limits: Limits | None = None) -> list[Run]:
    """Launch the waiting runs whose turn it is, as many as may run at once; return those launched."""
    limits = limits or Limits.from_environment()
    with changing(folder):
        known = requests(folder)
        queue = _queue(known)
        launched = []
        if not queue:
            return launched
        free = limits.runs_at_once - n_alive(folder, known)
        for request in queue[: max(0, free)]:
            run = Run(folder / request["id"])
            launched.append(run)
            _launch(run, request, launch)
    return launched


def _launch(run: Run, record: dict[str, Any], launch: Launch) -> None:
    log = log_of(run.folder)
    events = run.folder / "events.jsonl"
    log_size = events.stat().st_size if events.is_file() else 0
    try:
        (run.folder / "control.json").unlink(missing_ok=True)  # an action from before it was paused
        log.write_bytes(RESERVED)
        identity = process_identity(launch(_words(run, record), log))
    except (ValueError, OSError) as error:
        identity = {"pid": 0, "born": 0}
        reason = (
            f"the process could not be started: {error.strerror}" if isinstance(error, OSError) else error
        )
        with contextlib.suppress(OSError):
            log.write_text(f"error: {reason}\n", encoding="utf-8")
    write_json(
        request_of(run.folder), record | {"waiting": False, "launched": {**identity, "log_size": log_size}}
    )


def _words(run: Run, record: dict[str, Any]) -> list[str]:
    """Return the words after `python -m gptcore` that carry a record out; raises ConfigError."""
    if record.get("resume"):
        return ["resume", str(run.folder), "--json"]
    request = request_in(record)
    request.check_files()
    return ["train", *request.arguments(), "--out", str(run.folder), "--json"]


def position(run: Run) -> int | None:
    """Return how many runs will begin before this one, and itself: 1 is next. None if it does not wait."""
    queue = [request["id"] for request in _queue(requests(run.folder.parent))]
    return queue.index(run.id) + 1 if run.id in queue else None


def requests(folder: Path) -> list[dict[str, Any]]:
    """Return every request of a runs folder that can be read."""
    found = (read_json(path) | {"id": path.name.removesuffix(".request.json")} for path in _files(folder))
    return [request for request in found if isinstance(request.get("owners"), list)]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.request.json")) if folder.is_dir() else []


def n_alive(folder: Path, known: Sequence[dict[str, Any]]) -> int:
    """Return how many processes train in a folder, those a command line started among them."""
    asked = {request["id"] for request in known}
    loose = [path.parent for path in folder.glob("*/lock") if path.parent.name not in asked]
    mine = [Run(folder / request["id"]) for request in known if request.get("launched")]
    return sum(run.is_alive() for run in mine) + sum(Run(path).is_locked() for path in loose)


def is_busy(folder: Path) -> bool:
    """Return whether anything waits in a folder, or trains."""
    known = requests(folder)
    return bool(_queue(known)) or n_alive(folder, known) > 0


def _queue(known: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the requests that wait, in the order in which they will begin."""
    return sorted(
        (one for one in known if one.get("waiting")), key=lambda one: (one["turn"], one["sequence"])
    )


def _turn(folder: Path, known: Sequence[dict[str, Any]], owner: str, limits: Limits) -> dict[str, Any]:
    """Return the place in the queue of one more request; raises LimitError where there is none."""
    waiting = _queue(known)
    alive = [one for one in known if one.get("launched") and Run(folder / one["id"]).is_alive()]
    if len(alive) + len(waiting) >= limits.runs_at_once:
        own = [one for one in waiting if one["owners"][:1] == [owner]]
        limits.check_queue(len(waiting), len(own))
    served = min((one.get("turn", 0) for one in alive), default=0)
    last = max((one.get("turn", 0) for one in [*alive, *waiting] if one["owners"][:1] == [owner]), default=-1)
    return {
        "waiting": True,
        "turn": max(served, last + 1),
        "sequence": 1 + max((one.get("sequence", 0) for one in known), default=0),
        "launched": None,
    }


def _is_of_use(run: Run) -> bool:
    """Return whether a run will give, or has given, all that was asked for."""
    return run.state() in ("waiting", "starting", "running") or run.is_finished()
