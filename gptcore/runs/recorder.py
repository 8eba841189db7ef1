"""The writing half of a run: its directory while a process trains in it.

Other processes read the same files through `run.py`. At any moment the process may be killed and the disk may fill,
so what is there is always whole: the newest state in `latest`, the one before it in `previous`.
"""

import contextlib
import json
import os
import platform
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file

from gptcore.checkpoint import CheckpointError, check_intact, model_folders, write_model, write_tensors
from gptcore.corpora.documents import Corpus
from gptcore.files import MAX_JSON_BYTES, read_bytes, read_json, replacing, write_bytes, write_json
from gptcore.formats import read_folder
from gptcore.runs.kept_text import keep_text
from gptcore.runs.limits import Limits
from gptcore.runs.records import parse_event, parse_state
from gptcore.runs.run import FORMAT, Run, RunError, read_record, request_file
from gptcore.tokenizer import Tokenizer
from gptcore.training.events import Checkpointed, Done, Event, Failed, Revised, Sampled, Start

MAX_HISTORY = 24
STATE_FILES = ("state.json", "state.safetensors")
OPTIMIZER = "optimizer."  # how the names of its tensors begin in state.safetensors
LISTEN_SECONDS = 0.2
# What a run writes before its first checkpoint, and the temporary names of these files and of the checkpoint.
BEFORE_CHECKPOINT = re.compile(
    r"lock|(tokenizer|config|control)\.json|corpus\.(txt|json)|events\.jsonl"
    r"|\.(tokenizer\.json|config\.json|control\.json|corpus\.(txt|json)|events\.jsonl|latest)-.+"
)


class Recorder:
    """Writes a run's folder while it trains, and reacts to pause and stop requests."""

    def __init__(self, folder: str | Path, *, resume: bool = False):
        """Take a directory that `is_free`, or with `resume` a run that nobody trains in; raises RunError."""
        self.folder = Path(folder)
        self._new_folders = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        self.stop = ListeningFlag(self._listen)
        self.resumed = resume
        self._heard = 0.0
        self._trained: tuple[float, float] | None = None  # training seconds and wall clock of the last event
        self._stop_reason = "stopped"  # the reason to write down if the run ends before its last step
        if not resume and not is_free(self.folder):
            raise RunError(f"{folder} is not empty; choose a new or empty folder")
        if resume and not (self.folder / "config.json").is_file():
            raise RunError(f"{folder} is not a run; choose the folder of a run")
        control = self.folder / "control.json"
        stale = _inode(control)  # an action asked for before; one from here on is meant for this process
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.folder / "lock")
            self._lock.acquire(timeout=1)  # a watcher that looks holds it for an instant
        except Timeout as error:
            raise RunError(
                f"another process is training in {folder}; wait for it, or choose another folder"
            ) from error
        except OSError as error:
            self._remove_new_folders()
            raise RunError(f"{folder} cannot be written: {error.strerror}") from error
        if not resume:
            self._remove_beginning()
        if stale is not None and _inode(control) == stale:
            control.unlink(missing_ok=True)
        request = read_record(request_file(self.folder))
        self.is_lab = bool(request.get("lab"))
        self.owner = next(iter(request.get("owners") or []), None)
        # A run started by the app ends at the app's time limit, watched or not.
        self.most_seconds = Limits.from_environment().seconds if request else None
        self.tokenizer, self.description = None, {}

    def close(self) -> None:
        """Let others train in this directory."""
        self._lock.release()

    def discard(self) -> None:
        """Remove what was written for a run that ended before its first checkpoint, and the directories made for it."""
        self._remove_beginning()
        self.close()
        (self.folder / "lock").unlink(missing_ok=True)
        self._remove_new_folders()

    def _remove_beginning(self) -> None:
        """Remove every file that a run has before its first checkpoint, except the lock."""
        for path in self.folder.iterdir():
            if path.name != "lock" and BEFORE_CHECKPOINT.fullmatch(path.name):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def _remove_new_folders(self) -> None:
        with contextlib.suppress(OSError):  # one that holds something stays, and those above it
            for folder in self._new_folders:
                folder.rmdir()

    def describe(self, description: dict[str, Any], tokenizer: Tokenizer, corpus: Corpus | None) -> None:
        """Write what was asked for; `corpus` is the text where it cannot be made again."""
        self.tokenizer, self.description = tokenizer, description
        tokenizer.save(self.folder / "tokenizer.json")
        if corpus is not None:
            keep_text(self.folder, corpus)
        self._write_config({})

    def _write_config(self, measured: dict[str, Any]) -> None:
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        described = {"format": FORMAT, **self.description, **measured, "versions": versions}
        if self.owner is not None:
            described["owner"] = self.owner
        if self.is_lab:
            described["lab"] = True
        write_json(self.folder / "config.json", described)

    def reopen(self, tokenizer: Tokenizer, description: dict[str, Any], step: int) -> None:
        """Resume a run from `step`: what was written after that step will happen again and is cut away.

        `description` is the run's config; where it says something new, it is written.
        """
        self.tokenizer, self.description = tokenizer, description
        if description != Run(self.folder).config():
            write_json(self.folder / "config.json", description)
        self._sweep(step)
        path = self.folder / "events.jsonl"
        kept = []
        for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else []:
            event = parse_event(line)
            if event is None or event["step"] > step:
                break
            if event["event"] not in ("done", "failed"):
                kept.append(line)
        if not kept and "start" in description:  # the log is lost, and what it began with is not
            kept = [(json.dumps(description["start"], ensure_ascii=False) + "\n").encode()]
        write_bytes(path, b"".join(kept))

    def _sweep(self, step: int) -> None:
        """Remove what a killed process left half written, and snapshots of steps that will be taken again."""
        for folder in (self.folder, self.folder / "history"):
            for path in folder.glob(".*") if folder.is_dir() else ():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif not path.name.startswith(".control.json"):  # a watcher may be writing one just now
                    path.unlink(missing_ok=True)
        for path in (self.folder / "history").glob("*"):
            if path.name.isdigit() and int(path.name) > step:
                shutil.rmtree(path, ignore_errors=True)

    def record(self, events: Iterable[Event]) -> Iterator[Event]:
        """Write each event down, then hand it on; checkpoints become folders.

        Where the disk refuses, the reason is written down if there is room for it, and the OSError goes on.
        """
        # The state at the start is worth keeping, and then each that has a sample to go with it.
        worth_keeping = not self.resumed
        with (self.folder / "events.jsonl").open("ab", buffering=0) as log:
            for event in events:
                worth_keeping |= isinstance(event, Sampled)
                try:
                    event = self._note(event, log, worth_keeping)
                    if isinstance(event, Checkpointed):
                        worth_keeping = False
                    _append(log, event)
                except OSError as error:
                    self._give_up(log, event, error)
                    raise
                self._trained = event.seconds, time.monotonic()
                self._listen()
                yield event

    def _note(self, event: Event, log: BinaryIO, worth_keeping: bool) -> Event:
        """Do what an event asks of the directory; return the event as it is to be logged."""
        if isinstance(event, Start):
            measured = ("total_steps", "device", "precision", "attention_path", "threads")
            self._write_config(
                {"found": {name: getattr(event, name) for name in measured}, "start": event.to_dict()}
            )
        if isinstance(event, Revised):
            config = read_json(self.folder / "config.json")
            write_json(self.folder / "config.json", with_total_steps(config, event.total_steps))
        if isinstance(event, Checkpointed):
            os.fsync(log.fileno())  # the curves up to a state are on the disk before the state is
            self._keep(event, worth_keeping)
            return replace(event, path=str(self.folder / "latest"))
        if isinstance(event, Done) and event.reason == "stopped":
            return replace(event, reason=self._stop_reason)
        return event

    def _keep(self, event: Checkpointed, in_history: bool) -> None:
        """Write the state to `latest`, and if asked the weights alone to `history`, while there is room."""
        if not (self.folder / "config.json").exists():
            raise RunError(f"{self.folder} was removed during training")
        before = None if self.is_lab else self.folder / "previous"
        with replacing(self.folder / "latest", keep=before, checksums=True) as fresh:
            write_model(event.state["model"], self.tokenizer, fresh)
            write_state(event.state, fresh)
        history = self.folder / "history"
        kept = sum(path.name.isdigit() for path in history.glob("*")) if history.is_dir() else 0
        if in_history and kept < MAX_HISTORY and not self.is_lab:
            with replacing(history / f"{event.step:06d}", checksums=True) as fresh:
                write_model(event.state["model"], self.tokenizer, fresh, torch.bfloat16)

    def _give_up(self, log: BinaryIO, event: Event, error: OSError) -> None:
        """Write down why the run ends here; what was being written has been removed, which makes room."""
        reason = f"{error.strerror or error}; free some space, then resume"
        progress = {name: getattr(event, name) for name in ("step", "tokens", "seconds")}
        with contextlib.suppress(OSError):
            _append(log, Failed(**progress, reason=reason, resumes=True))

    def _listen(self) -> None:
        """Look at control.json a few times a second, and at the time the run has taken."""
        if self.most_seconds is not None and self._trained is not None and not self.stop.has_been_set():
            seconds, since = self._trained
            if seconds + time.monotonic() - since > self.most_seconds:
                self._stop_reason = "seconds"
                self.stop.set()
        if time.monotonic() - self._heard < LISTEN_SECONDS:
            return
        self._heard = time.monotonic()
        requested = read_json(self.folder / "control.json")
        if requested.get("stop") or requested.get("pause"):
            self._stop_reason = "stopped" if requested.get("stop") else "paused"
            self.stop.set()


def with_total_steps(config: dict[str, Any], total_steps: int) -> dict[str, Any]:
    """Return a run's config that says how many steps the run is to have now; unchanged before it was measured."""
    if "found" not in config:
        return config
    return config | {"found": config["found"] | {"total_steps": total_steps}}


def is_free(folder: Path) -> bool:
    """Return whether a run may begin in a directory: it is new or empty, or a run was killed there too early to resume.

    Such a run has left its lock and nothing but files that it writes before its first checkpoint.
    """
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    names = [path.name for path in folder.iterdir()]
    only_begun = "lock" in names and all(map(BEFORE_CHECKPOINT.fullmatch, names))
    return not names or (only_begun and Run(folder).last_event().get("step", 0) == 0)


class ListeningFlag(threading.Event):
    """A flag that listens whenever it is looked at, so that it is heard by time and not only at each event."""

    def __init__(self, listen: Callable[[], None]):
        super().__init__()
        self._listen = listen

    def has_been_set(self) -> bool:
        """Return whether the flag is set, without listening."""
        return super().is_set()

    def is_set(self) -> bool:
        """Listen, unless the flag is set already; return whether it is set now."""
        if not super().is_set():
            self._listen()
        return super().is_set()


def _inode(path: Path) -> int | None:
    """Return what tells a file from another of the same name, None where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _append(log: BinaryIO, event: Event) -> None:
    """Write an event at the end of a log as one whole line, or not at all."""
    line = (event.to_json() + "\n").encode()
    end = os.fstat(log.fileno()).st_size
    try:
        while line:
            line = line[log.write(line) :]
    except OSError:
        log.truncate(end)
        raise


def write_state(state: dict[str, Any], folder: Path) -> None:
    """Write what a checkpoint holds besides the model: tensors as safetensors, numbers as JSON."""
    tensors = {f"{OPTIMIZER}{name}": tensor.contiguous() for name, tensor in state["optimizer"].items()}
    tensors["noise"] = state["rng_state"]
    numbers = {k: v for k, v in state.items() if k not in ("model", "optimizer", "rng_state", "plan")}
    numbers["way"] = state["plan"]
    write_tensors(tensors, folder / "state.safetensors")
    write_json(folder / "state.json", numbers)


def read_state(run: str | Path) -> tuple[dict[str, Any], str | None]:
    """Return the state of a run's last whole checkpoint, as `train(resume=…)` takes it.

    Where the newest is damaged, the one before it is read, and a sentence comes with it that says so. Raises
    CheckpointError where neither can be read.
    """
    first, *others = model_folders(run)
    try:
        return read_checkpoint(first), None
    except ValueError as error:
        for folder in others:
            with contextlib.suppress(ValueError):
                state = read_checkpoint(folder)
                return (
                    state,
                    f"{error}. This run resumes from the checkpoint before it, at step {state['step']:,}.",
                )
        raise


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Return the training state in this very folder, as `read_state` does; raises CheckpointError."""
    check_intact(folder, STATE_FILES)
    model, _ = read_folder(folder)
    try:
        numbers = parse_state(read_bytes(folder / "state.json", MAX_JSON_BYTES))
        tensors = load_file(folder / "state.safetensors")
        rng_state, plan = tensors.pop("noise"), numbers.pop("way")
        optimizer = {name.removeprefix(OPTIMIZER): tensor for name, tensor in tensors.items()}
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder} contains a model but no training state, so it cannot resume: {error}"
        ) from error
    return {"model": model, "optimizer": optimizer, "rng_state": rng_state, "plan": plan, **numbers}


class FollowerRecorder:
    """Replaces the Recorder on every rank but 0: it writes nothing, except when rank 0 is lost."""

    def __init__(self, folder: str | Path):
        self.folder, self.stop = Path(folder), threading.Event()

    def describe(self, *_) -> None:
        """Do nothing: rank 0 writes."""

    reopen = discard = close = describe

    def record(self, events: Iterable[Event]) -> Iterator[Event]:
        """Pass events on; if rank 0 itself was lost, log the reason, which rank 0 no longer can."""
        for event in events:
            if isinstance(event, Failed) and event.resumes:
                self._log_loss(event)
            yield event

    def _log_loss(self, event: Failed) -> None:
        try:
            with FileLock(self.folder / "lock", timeout=2):  # rank 0 held it for as long as it lived
                if Run(self.folder).last_event().get("event") not in ("done", "failed", None):
                    with (self.folder / "events.jsonl").open("rb+") as log:
                        log.seek(-1, os.SEEK_END)
                        end = b"" if log.read(1) == b"\n" else b"\n"  # it may have left half a line
                        log.write(end + event.to_json().encode() + b"\n")
        except (Timeout, OSError):
            return
