"""Who runs, and when: requests stored on disk, the fair queue they form, and the launch of the next ones.

A request is a file in the runs folder, so the queue outlives a server, and two servers on one folder share it under a
lock. Runs wait for training slots with a file next to their folder; claims wait in `claims/` for the one measurement
slot. Runs are deterministic, so equal requests by thirty visitors are one run that all of them watch, and a claim
requested thirty times is measured once.

The queue is fair between visitors, however many requests each has: a request takes its `turn` when it comes, one
after the visitor's own last one and never before what is being served now, and lower turns go first (start-time fair
queueing; Goyal, Vin, Cheng 1996). No clock is used.
"""

import contextlib
import os
import re
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from gptcore.config import ConfigError, ModelConfig, TrainConfig
from gptcore.corpora.sources import BUILT_IN
from gptcore.files import disk_bytes, write_json
from gptcore.resources import end_process, process_identity, process_is_running
from gptcore.runs.jobs import (
    ERROR,
    FOLDERS,
    MEASUREMENT,
    TRAINING,
    error_sentence,
    last_error,
    n_slots,
    queued_kind_module,
    skipped_on_error,
)
from gptcore.runs.limits import LimitError, Limits
from gptcore.runs.records import LARGEST
from gptcore.runs.request import TRAIN, RunRequest
from gptcore.runs.run import (
    NOT_RUNS,
    PENDING,
    Run,
    RunError,
    folder_lock,
    log_file,
    progress_file,
    read_record,
    request_file,
    runs_folder,
)

# Blank lines that a job's process writes its last sentence over: room for it on a disk that has filled.
RESERVED = b"\n" * 4096

UPLOADED_TEXT = re.compile(r"[0-9a-f]{16}\.txt")  # a file in the folder of texts
TOKENIZERS = ("story", "gpt2", "train")  # those that are no files

# Takes a job ("kind", "module", "settings") and its log; returns who works on it, as a request file says it: the
# identity of a process, or the job of a Ray cluster.
Launch = Callable[[Mapping[str, Any], Path], Mapping[str, Any]]
# Takes a run that waits; returns why there is not enough memory for it now, in one sentence, None where there is.
Lack = Callable[["Requests", Mapping[str, Any]], str | None]


class Requests:
    """The requests for one kind of slots as their files say now; change them only under its `folder_lock`."""

    def __init__(self, folder: Path, slots: str):
        self.folder, self.slots = folder / FOLDERS[slots], slots
        self.records: list[dict[str, Any]] = []
        for path in sorted(self.folder.glob("*.request.json")):
            with skipped_on_error(path):
                record = read_record(path)
                if "owners" in record:
                    name = path.name.removesuffix(".request.json")
                    self.records.append(self._completed(record | {"id": name}))

    def _completed(self, record: dict[str, Any]) -> dict[str, Any]:
        if self.slots == MEASUREMENT and "request" not in record:  # of the first edition
            record["request"] = {"kind": "claim", "settings": {"name": record["id"]}}
            record["waiting"] = not record.get("launched")
        return record

    def path(self, record: Mapping[str, Any]) -> Path:
        """Return what the files of a record are named after: for a run, its directory."""
        return self.folder / record["id"]

    def find(self, name: str) -> dict[str, Any] | None:
        """Return the record with this id, None if there is none."""
        return next((record for record in self.records if record["id"] == name), None)

    def is_running(self, record: Mapping[str, Any]) -> bool:
        """Return whether a process works on this record, or is about to."""
        if not record.get("launched"):
            return False
        with skipped_on_error(self.path(record)):
            if self.slots == TRAINING:
                return Run(self.path(record)).is_alive()
        return process_is_running(record["launched"])

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """The records that wait, in the order in which they will begin."""
        waiting = (record for record in self.records if record.get("waiting"))
        return sorted(waiting, key=lambda record: (record.get("turn", 0), record.get("sequence", 0)))

    @property
    def running(self) -> list[dict[str, Any]]:
        return [record for record in self.records if self.is_running(record)]

    def n_running(self) -> int:
        """Return how many processes take slots, for training those a command line started among them."""
        if self.slots != TRAINING:
            return len(self.running)
        known = {record["id"] for record in self.records}
        others = [path.parent for path in self.folder.glob("*/lock") if path.parent.name not in known]
        return len(self.running) + sum(Run(path).is_locked() for path in others)

    def next_turn(self, owner: str) -> dict[str, Any]:
        """Return the fields of one more request by this owner, who waits from now on."""
        running, waiting = self.running, self.waiting
        own = [record for record in (*running, *waiting) if record["owners"][:1] == [owner]]
        served = min((record.get("turn", 0) for record in running), default=0)
        last = max((record.get("turn", 0) for record in own), default=-1)
        return {
            "waiting": True,
            "turn": min(LARGEST, max(served, last + 1)),
            "sequence": min(
                LARGEST, 1 + max((record.get("sequence", 0) for record in self.records), default=0)
            ),
            "launched": None,
        }

    def check_room(self, owner: str, limits: Limits) -> None:
        """Raise LimitError where no more requests may wait."""
        waiting = self.waiting
        if len(self.running) + len(waiting) >= limits.runs_at_once:
            own = [record for record in waiting if record["owners"][:1] == [owner]]
            limits.check_queue(len(waiting), len(own))

    def write(self, record: Mapping[str, Any]) -> None:
        write_json(request_file(self.path(record)), record)

    def remove(self, record: Mapping[str, Any]) -> None:
        """Remove a request and the progress of its job."""
        for path in (request_file(self.path(record)), progress_file(self.path(record))):
            path.unlink(missing_ok=True)

    def remove_finished(self) -> None:
        """Remove the measurements that are over; one that ended with its supervisor waits again."""
        for record in [] if self.slots == TRAINING else list(self.records):
            if not record.get("launched") or self.is_running(record):
                continue
            with skipped_on_error(self.path(record)):
                self._remove_finished(record)

    def _remove_finished(self, record: dict[str, Any]) -> None:
        self.remove(record)
        self.records.remove(record)
        supervisor = record["launched"].get("supervisor")  # the first edition wrote none
        is_orphan = supervisor is not None and not process_is_running(supervisor)
        if is_orphan and last_error(log_file(self.path(record))) is None:
            again = record | {"waiting": True, "launched": None}
            self.records.append(again)
            self.write(again)


def submit(
    request: RunRequest,
    *,
    owner: str = "",
    lab: bool = False,
    name: str = "",
    limits: Limits | None = None,
) -> Run:
    """Ask for a run; return it at once, waiting for its turn.

    A run that an equal request has led to, and that is under way or finished, is returned instead. `owner` is the
    hash of the visitor's id. A lab's run keeps its last state alone and is removed after an hour. Raises LimitError,
    ConfigError or RunError.
    """
    limits = limits or Limits.from_environment()
    model, train = request.configs()
    limits.check_request(model, train)
    folder = runs_folder()
    if limits.hosted:
        _check_sources(request, folder)
    request = request.sealed()
    key = request.key
    with folder_lock(folder):
        queue = Requests(folder, TRAINING)
        for record in queue.records:
            if record.get("key") == key and _is_of_use(run := Run(folder / record["id"])):
                if owner not in record["owners"]:
                    queue.write(record | {"owners": [*record["owners"], owner]})
                return run
        limits.check_disk(disk_bytes(folder))
        queue.check_room(owner, limits)
        record = {
            "id": secrets.token_hex(10),
            "request": request.to_dict(),
            "key": key,
            "owners": [owner],
            "lab": lab,
            "name": name,
            "asked": round(time.time(), 1),
            **queue.next_turn(owner),
        }
        queue.write(record)
    return Run(folder / record["id"])


def _check_sources(request: RunRequest, folder: Path) -> None:
    """Raise ConfigError where a stranger's request names what is neither built in nor uploaded: a path, an address."""
    text = Path(request.corpus)
    uploaded = text.parent == folder / NOT_RUNS[0] and UPLOADED_TEXT.fullmatch(text.name)
    if request.corpus not in BUILT_IN and not uploaded:
        raise ConfigError("only built-in and uploaded texts can be used here; upload the text")
    if request.tokenizer not in (None, *TOKENIZERS):
        raise ConfigError(f"the tokenizer must be one of {', '.join(TOKENIZERS)} here; choose one of them")
    if request.start_from is not None:
        raise ConfigError("a model cannot be trained further here; use the command line on your own machine")
    if request.plugin is not None:
        raise ConfigError(
            "plugins cannot be used here, because they run Python code; use the command line on your own "
            "machine"
        )


def submit_named(requests: Mapping[str, RunRequest], *, slots: str, owner: str = "") -> None:
    """Ask for jobs that are known by a name, in this order; a request that exists gains an owner.

    Raises RunError where the folder cannot be written.
    """
    folder = runs_folder()
    with folder_lock(folder):
        queue = Requests(folder, slots)
        queue.folder.mkdir(parents=True, exist_ok=True)
        for name, request in requests.items():
            record = queue.find(name)
            if record is None or not (record.get("waiting") or queue.is_running(record)):
                record = {"id": name, "request": request.to_dict(), "owners": []}
                record |= queue.next_turn(owner)
            if owner not in record["owners"]:
                record["owners"] = [*record["owners"], owner]
            log_file(queue.path(record)).unlink(missing_ok=True)  # what went wrong the last time
            queue.records = [other for other in queue.records if other["id"] != name] + [record]
            queue.write(record)


def read_request(record: Mapping[str, Any]) -> RunRequest:
    """Return the request that a request file holds, also one of the first edition; raises ConfigError."""
    return RunRequest.from_dict(record.get("request") or {"arguments": record.get("arguments") or []})


def find_runs(keys: Sequence[str]) -> list[Run | None]:
    """Return for each key of a request the run it has led to: one of use, else the newest, else None."""
    folder = runs_folder()
    by_key: dict[str, list[dict[str, Any]]] = {}
    for record in Requests(folder, TRAINING).records:
        by_key.setdefault(record.get("key", ""), []).append(record)
    best: list[Run | None] = []
    for key in keys:
        newest_first = sorted(by_key.get(key, ()), key=lambda record: record.get("asked", 0), reverse=True)
        runs = [Run(folder / record["id"]) for record in newest_first]
        best.append(next((run for run in runs if _is_of_use(run)), runs[0] if runs else None))
    return best


def submit_resume(run: Run, *, owner: str = "", limits: Limits | None = None) -> None:
    """Request to resume a run from its last checkpoint; raises RunError or LimitError."""
    limits = limits or Limits.from_environment()
    with folder_lock(run.folder.parent):
        if run.is_under_way():
            return
        if not run.can_resume():
            raise RunError(
                run.problem()
                or (
                    f"{run.id} is finished; there is nothing to resume"
                    if run.is_finished()
                    else f"{run.id} cannot resume: {run.failure() or 'it has no checkpoint'}"
                )
            )
        check_resume(run, limits)
        queue = Requests(run.folder.parent, TRAINING)
        queue.check_room(owner, limits)
        record = {
            "id": run.id,
            "owners": run.owners() or [owner],
            "asked": run.requested_at(),
        } | run.request()
        queue.write(record | {"resume": True} | queue.next_turn(owner))


def configs_of(run: Run) -> tuple[ModelConfig, TrainConfig]:
    """Return the configs of model and training in a run's config.json; raises RunError."""
    described = run.config()
    try:
        return ModelConfig.from_dict(described["model"]), TrainConfig.from_dict(described["train"])
    except KeyError as error:
        raise RunError(f"the config.json of {run.id} does not contain its {error.args[0]}") from error
    except (TypeError, ValueError) as error:
        raise RunError(f"the config.json of {run.id} is invalid: {error}") from error


def record_configs(requests: Requests, record: Mapping[str, Any]) -> tuple[ModelConfig, TrainConfig]:
    """Return the configs of a run that waits or trains; raises ConfigError or RunError."""
    if record.get("resume"):
        return configs_of(Run(requests.path(record)))
    return read_request(record).configs()


def check_resume(run: Run, limits: Limits) -> None:
    """Raise LimitError if a run exceeds the limits, RunError if its config cannot be trained."""
    limits.check_request(*configs_of(run))


def withdraw(run: Run, owner: str = "") -> None:
    """Take a waiting run out of the queue, for this owner; for others it waits on, and a paused run stays paused."""
    _withdraw(run.folder.parent, TRAINING, [run.id], owner)


def withdraw_named(names: Collection[str], *, slots: str, owner: str = "") -> None:
    """Take this owner off jobs that are known by a name; a job without owners is stopped."""
    _withdraw(runs_folder(), slots, names, owner)


def _withdraw(folder: Path, slots: str, names: Collection[str], owner: str) -> None:
    with folder_lock(folder):
        queue = Requests(folder, slots)
        for record in queue.records:
            if record["id"] not in names or (slots == TRAINING and not record.get("waiting")):
                continue
            if owner not in record["owners"]:
                continue
            left = [other for other in record["owners"] if other != owner]
            if left:
                queue.write(record | {"owners": left})
            elif record.get("resume"):
                queue.write(record | {"waiting": False})
            else:
                log_file(queue.path(record)).unlink(missing_ok=True)
                queue.remove(record)
                _end(record.get("launched") or {})


def _end(launched: Mapping[str, Any]) -> None:
    """End the process of a measurement. Nothing is lost but what it has found so far."""
    if process_is_running(launched):
        end_process(launched["pid"])


def poll(
    folder: Path,
    launch: Launch,
    limits: Limits | None = None,
    *,
    slot_kinds: Collection[str] = tuple(FOLDERS),
    on_cluster: bool = False,
    lack: Lack | None = None,
) -> list[str]:
    """Launch the next waiting jobs for these kinds of slots, as many as are free; return their ids.

    `on_cluster` leaves alone the runs that wait for room on a Ray cluster: each of them has a slot. A run for which
    memory lacks, as `lack` says, waits while another one trains, and so do those behind it; otherwise it ends with
    that sentence.
    """
    limits = limits or Limits.from_environment()
    launched = []
    with folder_lock(folder):
        for slots in slot_kinds:
            queue = Requests(folder, slots)
            queue.remove_finished()
            if not (waiting := queue.waiting):
                continue
            at_hand = [record for record in waiting if not (on_cluster and is_pending(record))]
            n_free = n_slots(slots, limits.runs_at_once) - queue.n_running() - (len(waiting) - len(at_hand))
            for record in at_hand[: max(0, n_free)]:
                with skipped_on_error(queue.path(record)):
                    reason = _lack_of(queue, record, lack) if slots == TRAINING else None
                    if reason is not None and Requests(folder, slots).n_running():
                        break
                    _launch(queue, record, launch if reason is None else _refuse(reason))
                    launched.append(record["id"])
    return launched


def _lack_of(queue: Requests, record: Mapping[str, Any], lack: Lack | None) -> str | None:
    try:
        return None if lack is None else lack(queue, record)
    except Exception:  # whatever the request holds, its launch says what is wrong with it
        return None


def _refuse(reason: str) -> Launch:
    def launch(job: Mapping[str, Any], log: Path) -> Mapping[str, Any]:
        raise LimitError(reason)

    return launch


def is_pending(record: Mapping[str, Any]) -> bool:
    """Return whether a Ray cluster has this run and has not found room for it."""
    return (record.get("launched") or {}).get("ray_status") == PENDING


def launched_processes(folder: Path) -> list[tuple[str, Path, Mapping[str, Any]]]:
    """Return the processes of queued jobs that are running: their slots, what their files are named after, and who.

    Request files say who they are, so those that another supervisor has started are among them.
    """
    return [
        (slots, queue.path(record), record["launched"])
        for slots in FOLDERS
        for queue in (Requests(folder, slots),)
        for record in queue.records
        if record.get("launched") and process_is_running(record["launched"])
    ]


def _launch(queue: Requests, record: dict[str, Any], launch: Launch) -> None:
    path = queue.path(record)
    log = log_file(path)
    launched = {"supervisor": process_identity(os.getpid()), "log_size": Run(path).log_size()}
    try:
        (path / "control.json").unlink(missing_ok=True)  # an action from before it was paused
        log.write_bytes(RESERVED)
        launched |= launch(job_of(queue, record), log)
    except Exception as error:  # whatever a request holds, it waits no longer
        launched |= {"pid": 0, "born": 0}
        what = f"the process could not be started: {error.strerror}" if isinstance(error, OSError) else error
        reason = what if isinstance(error, (ValueError, OSError)) else error_sentence(error)
        with contextlib.suppress(OSError):
            log.write_text(f"{ERROR}{reason}\n", encoding="utf-8")
    queue.write(record | {"waiting": is_pending({"launched": launched}), "launched": launched})


def job_of(queue: Requests, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the task of a worker for a record; raises ConfigError or JobError."""
    folder = str(queue.path(record))
    if record.get("resume"):
        request = RunRequest(kind="resume", settings={"folder": folder})
    else:
        request = read_request(record)
        request.check_files()
    is_new_run = request.kind == TRAIN
    settings = {"request": request.to_dict(), "folder": folder} if is_new_run else request.payload
    return {"kind": request.kind, "module": queued_kind_module(request.kind), "settings": settings}


def position(run: Run) -> int | None:
    """Return how many runs will begin before this one, and itself: 1 is next. None if it does not wait."""
    waiting = [record["id"] for record in Requests(run.folder.parent, TRAINING).waiting]
    return waiting.index(run.id) + 1 if run.id in waiting else None


def is_busy(folder: Path) -> bool:
    """Return whether anything of a folder waits for a slot, or has one."""
    queues = [Requests(folder, slots) for slots in FOLDERS]
    return any(queue.waiting or queue.n_running() for queue in queues)


def _is_of_use(run: Run) -> bool:
    """Return whether a run is finished or will finish its request."""
    return run.is_under_way() or run.is_finished()
