"""A training run is a directory that any process can read.

The process that trains writes it (`Recorder`), any other watches it (`Run`): its events, its state, its model.
The server that shows a page never trains; it starts the same command a person would type.

    config.json     what was asked for, and what was found by measuring
    tokenizer.json  corpus.txt (the text, where it was a file)
    events.jsonl    one event a line, appended and flushed
    control.json    what a watcher wants: {"stop": true}
    lock            held by the process that trains, for as long as it lives
    latest/         model, optimizer and position; previous/ is the one before
    history/        the weights alone, step 0 among them
"""

import json
import os
import platform
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from gptcore.checkpoint import (
    CheckpointError,
    load,
    model_folder,
    replacing,
    write_json,
    write_model,
    write_tensors,
)
from gptcore.events import Checkpointed, Event, Sampled, Start

FORMAT = "glassbox-run-1"
MAX_HISTORY = 24
LONGEST_LINE = 65_536  # bytes; a sample of text is the longest event
START_SECONDS = 60.0  # how long a fresh process may take until it holds its lock
RUN_ID = re.compile(r"[a-z0-9_-]{1,64}")


class RunError(ValueError):
    """A directory that cannot be used as a run, said in one sentence."""


def runs_folder() -> Path:
    """Return where runs live: GLASSBOX_RUNS, or `runs` in the working directory."""
    return Path(os.environ.get("GLASSBOX_RUNS") or "runs").absolute()


class Recorder:
    """Writes a run's directory while it trains, and hears what watchers ask of it."""

    def __init__(self, folder: str | Path, *, resume: bool = False):
        """Take a new or empty directory, or with `resume` one that nobody trains in; raises RunError."""
        self.folder = Path(folder)
        self.stop = threading.Event()
        self._heard = 0.0
        if not resume and self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise RunError(f"{folder} is not empty; a run needs a new or empty directory")
        if resume and not (self.folder / "config.json").is_file():
            raise RunError(f"{folder} is not a run")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.folder / "lock")
            self._lock.acquire(timeout=1)  # a watcher that looks holds it for an instant
        except Timeout as error:
            raise RunError(f"{folder} is being trained in by another process") from error
        except OSError as error:
            raise RunError(f"{folder} cannot be written: {error.strerror}") from error
        (self.folder / "control.json").unlink(missing_ok=True)
        self.tokenizer, self.request = None, {}

    def discard(self) -> None:
        """Remove a directory in which nothing came to be."""
        self._lock.release()
        (self.folder / "lock").unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def describe(self, request: dict[str, Any], tokenizer, text: str | None) -> None:
        """Write what was asked for; `text` is the corpus where it cannot be made again."""
        self.tokenizer, self.request = tokenizer, request
        tokenizer.save(self.folder / "tokenizer.json")
        if text is not None:
            (self.folder / "corpus.txt").write_text(text, encoding="utf-8", newline="")
        self._write_config({})

    def _write_config(self, found: dict[str, Any]) -> None:
        import torch

        versions = {"python": platform.python_version(), "torch": torch.__version__}
        write_json(
            self.folder / "config.json", {"format": FORMAT, **self.request, **found, "versions": versions}
        )

    def reopen(self, tokenizer, request: dict[str, Any], step: int) -> None:
        """Go on with a run from `step`: what was logged after that step will happen again and is cut away."""
        self.tokenizer, self.request = tokenizer, request
        path = self.folder / "events.jsonl"
        kept = []
        for line in path.read_bytes().splitlines(keepends=True):
            event = parse_event(line)
            if event is None or event["step"] > step:
                break
            if event["event"] not in ("done", "failed"):
                kept.append(line)
        fresh = path.with_suffix(".fresh")
        fresh.write_bytes(b"".join(kept))
        fresh.replace(path)

    def record(self, events: Iterable[Event]) -> Iterator[Event]:
        """Write each event down, then hand it on; checkpoints become folders."""
        worth_keeping = True  # the state at the start, and then each that has a sample to go with it
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as log:
            for event in events:
                worth_keeping |= isinstance(event, Sampled)
                if isinstance(event, Start):
                    found = ("total_steps", "device", "precision", "attention_path", "threads")
                    self._write_config({"found": {name: getattr(event, name) for name in found}})
                if isinstance(event, Checkpointed):
                    self._keep(event, worth_keeping)
                    worth_keeping = False
                    event = replace(event, path=str(self.folder / "latest"))
                log.write(event.to_json() + "\n")
                log.flush()
                self._listen()
                yield event

    def _keep(self, event: Checkpointed, in_history: bool) -> None:
        """Write the state to `latest`, and if asked the weights alone to `history`, while there is room."""
        with replacing(self.folder / "latest", keep=self.folder / "previous") as fresh:
            write_model(event.state["model"], self.tokenizer, fresh)
            write_state(event.state, fresh)
        history = self.folder / "history"
        kept = len(list(history.glob("*"))) if history.is_dir() else 0
        if in_history and kept < MAX_HISTORY:
            import torch

            with replacing(history / f"{event.step:06d}") as fresh:
                write_model(event.state["model"], self.tokenizer, fresh, torch.bfloat16)

    def _listen(self) -> None:
        """Look at control.json a few times a second."""
        if time.monotonic() - self._heard < 0.2:
            return
        self._heard = time.monotonic()
        control = self.folder / "control.json"
        if control.is_file():
            try:
                wish = json.loads(control.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return  # being written; it is whole the next time
            if isinstance(wish, dict) and wish.get("stop"):
                self.stop.set()


def write_state(state: dict[str, Any], folder: Path) -> None:
    """Write what a checkpoint holds besides the model: tensors as safetensors, numbers as JSON."""
    tensors = {f"optimizer.{name}": tensor.contiguous() for name, tensor in state["optimizer"].items()}
    tensors["noise"] = state["noise"]
    numbers = {k: v for k, v in state.items() if k not in ("model", "optimizer", "noise", "windows")}
    for name, value in state["windows"].items():
        if hasattr(value, "contiguous"):
            tensors[f"windows.{name}"] = value.contiguous()
        else:
            numbers.setdefault("windows", {})[name] = value
    write_tensors(tensors, folder / "state.safetensors")
    write_json(folder / "state.json", numbers)


def read_state(run: str | Path) -> dict[str, Any]:
    """Return the state of a run's last whole checkpoint, as `train(resume=…)` takes it."""
    from safetensors.torch import load_file

    folder = model_folder(run)
    model, _ = load(folder)
    try:
        numbers = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "state.safetensors")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} holds a model but no training state: {error}") from error
    parts: dict[str, dict] = {"optimizer": {}, "windows": numbers.pop("windows", {})}
    noise = tensors.pop("noise")
    for name, tensor in tensors.items():
        part, key = name.split(".", 1)
        parts[part][key] = tensor
    return {"model": model, "noise": noise, **parts, **numbers}


class Run:
    """One run as a watcher sees it. It may be read while it is being written."""

    def __init__(self, folder: str | Path, process: subprocess.Popen | None = None):
        self.folder = Path(folder)
        self.process = process

    @property
    def id(self) -> str:
        return self.folder.name

    @classmethod
    def by_id(cls, run_id: str) -> Self:
        """Return the run of this id in the runs folder; raises RunError if there is none."""
        folder = runs_folder() / run_id
        if not RUN_ID.fullmatch(run_id) or not (folder.is_dir() or log_of(folder).is_file()):
            raise RunError(f"there is no run {run_id[:64]!r} here")
        return cls(folder)

    def events(self, since: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Return the events after byte `since` of the log, and the byte to ask from next time."""
        try:
            with (self.folder / "events.jsonl").open("rb") as log:
                log.seek(since)
                fresh = log.read()
        except FileNotFoundError:
            return [], since
        whole = fresh[: fresh.rfind(b"\n") + 1]  # a line still being written waits
        events = (parse_event(line) for line in whole.splitlines())
        return [event for event in events if event is not None], since + len(whole)

    def config(self) -> dict[str, Any]:
        """Return what was asked for and found; empty while the run is starting."""
        try:
            return json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def state(self) -> str:
        """Return `starting`, `running`, `done`, `failed` or `interrupted`."""
        last = self.last_event().get("event")
        if last in ("done", "failed"):
            return last
        if self._is_locked():
            return "running"
        if self.process is not None and self.process.poll() is None:
            return "starting"
        if self.failure() is not None:
            return "failed"
        born = log_of(self.folder)
        if self.process is None and last is None and born.is_file():
            return "starting" if time.time() - born.stat().st_mtime < START_SECONDS else "interrupted"
        return "interrupted"

    def failure(self) -> str | None:
        """Return the one sentence with which a run ended badly, or None."""
        last = self.last_event()
        if last.get("event") == "failed":
            return last["reason"]
        try:
            lines = log_of(self.folder).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return None
        said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return said[-1] if said else None

    def is_finished(self) -> bool:
        """Return whether the run did all it was asked to; a stopped one did not."""
        last = self.last_event()
        return last.get("event") == "done" and last["reason"] != "stopped"

    def stop(self) -> None:
        """Ask the run to end at its next step and keep what it learned."""
        write_json(self.folder / "control.json", {"stop": True})

    def last_event(self) -> dict[str, Any]:
        """Return the last event, without reading the log from its start; empty if there is none."""
        try:
            with (self.folder / "events.jsonl").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LONGEST_LINE))
                lines = log.read().splitlines()
        except FileNotFoundError:
            return {}
        return next((event for event in map(parse_event, reversed(lines)) if event is not None), {})

    def _is_locked(self) -> bool:
        """Return whether a process holds the run's lock, that is, trains."""
        if not (self.folder / "lock").exists():
            return False
        try:
            with FileLock(self.folder / "lock", timeout=0):
                return False
        except (Timeout, OSError):
            return True


def parse_event(line: bytes) -> dict[str, Any] | None:
    """Return the event on a line of the log, None where a killed process left half a line."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def log_of(folder: Path) -> Path:
    """Return the file beside a run's directory that holds what its process said on standard error."""
    return folder.with_name(folder.name + ".log")


def start(arguments: Sequence[str], run_id: str | None = None) -> Run:
    """Start `python -m gptcore train … --out DIR` as a process of its own and return its run at once.

    The process outlives its starter and gives way to it: it runs at a lower priority.
    """
    run_id = run_id or secrets.token_urlsafe(12).lower().replace("-", "x").replace("_", "y")
    folder = runs_folder() / run_id
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        log = log_of(folder).open("w", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{folder.parent} cannot be written: {error.strerror}") from error
    command = [sys.executable, "-m", "gptcore", "train", *arguments, "--out", str(folder), "--json"]
    root = str(Path(__file__).resolve().parent.parent)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    }
    with log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, process.pid, 5)
    return Run(folder, process)


def list_runs() -> list[Run]:
    """Return the runs of the runs folder, the newest first."""
    folder = runs_folder()
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if (path / "config.json").is_file()]
    return [Run(path) for path in sorted(found, key=lambda path: path.stat().st_ctime, reverse=True)]
