"""The process that starts every job, watches it, and cleans up after it.

It imports torch and computes nothing with it: a process in which torch has computed has threads, and threads do not
survive a fork. What it gets ready before anybody asks (`_preload`) is text, read and encoded without a tensor.

Jobs whose result somebody waits for come over standard input and wait in its memory; runs and claims wait in the
queue on disk (`queue.py`). All of them take slots, have the limits of their kind, and leave nothing behind.
"""

import contextlib
import gc
import json
import os
import selectors
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gptcore.resources import process_identity, process_is_running
from gptcore.runs import queue
from gptcore.runs.cleaner import Cleaner
from gptcore.runs.jobs import ERROR, JobError, JobKind, error_sentence, find_kind, last_error, n_slots
from gptcore.runs.limits import PREFIX, Limits
from gptcore.runs.worker_process import can_fork, fork_child, reap_processes, start_child, write_all

BUSY_SECONDS = 0.3  # between two polls of a queue in which something may change
RETRY_SECONDS = 2.0  # before a queue that could not be polled is polled again
IDLE_SECONDS = 0.3  # without a message from the server, before preloading begins
CLEAN_SECONDS = 60.0
TEMPORARY = "glassbox-workers-"  # how the folder for the temporary files of jobs begins
ENDED = "its process ended without a result; perhaps memory ran out"


@dataclass(eq=False)
class Task:
    """A job whose result somebody waits for: waiting for a slot, then running in a child."""

    number: int
    kind: JobKind
    job: dict[str, Any]
    seconds: float | None
    environment: dict[str, str]
    pid: int = 0
    pipe: int = -1
    deadline: float = float("inf")  # by time.monotonic()
    received: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True)
class QueuedChild:
    """The process of a queued job that this supervisor has started."""

    folder: Path  # the runs folder in whose queue it was
    log: Path
    temporary: str | None  # the folder for its temporary files, where it has one
    seconds: float | None
    deadline: float  # by time.monotonic()


class Supervisor:
    """Listens to its server, starts jobs when a slot is free, and watches queues and children."""

    def __init__(self):
        self.forks = can_fork()
        self.start_child = fork_child if self.forks else start_child
        self.waiting: list[Task] = []
        self.running: dict[int, Task] = {}  # by pipe
        self.queued: dict[int, QueuedChild] = {}  # by process id
        self.folders: dict[
            Path, dict[str, str]
        ] = {}  # runs folders, with the settings of the server that asked
        self.next_poll: dict[Path, float] = {}
        self.cleaner, self.last_cleaned = Cleaner(), {}
        self.selector = selectors.DefaultSelector()
        self.received = bytearray()
        self.to_preload = False
        self.last_message = 0.0
        self.temporary = _temporary_folder()
        self.n_temporary = 0

    def serve(self) -> None:
        """Serve until standard input closes."""
        if self.forks:
            import torch  # noqa: F401 - so that no child need import it
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it, by closing the pipe
        os.set_blocking(0, False)
        self.selector.register(0, selectors.EVENT_READ)
        self.last_message = time.monotonic()
        try:
            while True:
                for key, _ in self.selector.select(self._seconds_to_wait()):
                    if key.fd == 0:
                        if not self._read_messages():
                            return
                    elif key.fd in self.running:  # a message may just have cancelled it
                        self._read_answer(self.running[key.fd])
                self._advance()
        finally:
            self._end()

    def _seconds_to_wait(self) -> float:
        """Return the seconds until something must be done without a message."""
        if self.to_preload:
            return IDLE_SECONDS
        now = time.monotonic()
        times = [*self.next_poll.values(), *(task.deadline for task in self.running.values())]
        times += [child.deadline for child in self.queued.values()]
        return min(5.0, max(0.0, min(times, default=now + 5.0) - now))

    def _read_messages(self) -> bool:
        """Take in what the server says; return False once it is gone."""
        data = os.read(0, 1 << 16)
        self.received += data
        self.last_message = time.monotonic()
        while b"\n" in self.received:
            line, _, rest = self.received.partition(b"\n")
            self.received = bytearray(rest)
            self._handle(json.loads(line))
        return bool(data)

    def _handle(self, message: dict[str, Any]) -> None:
        if "poll" in message:
            folder = Path(message["poll"])
            self.folders[folder] = message["environment"]
            self.next_poll[folder] = 0.0
        elif "preload" in message:
            self.to_preload = self.forks
        elif "cancel" in message:
            self._cancel(message["cancel"])
        else:
            number, job = message["number"], message["job"]
            try:
                kind = find_kind(job["kind"], job["module"])
            except JobError as error:
                self._send({"error": str(error)}, number)
                return
            seconds = message["seconds"] if message["seconds"] is not None else kind.seconds
            self.waiting.append(Task(number, kind, job, seconds, message["environment"]))

    def _advance(self) -> None:
        """Start jobs that have a free slot, end those over their limit, reap children, poll queues."""
        for task in list(self.waiting):
            if self._has_slot(task):
                self.waiting.remove(task)
                self._begin(task)
        now = time.monotonic()
        for task in list(self.running.values()):
            if now > task.deadline:
                self._finish(task, {"error": _too_long(task.seconds), "cause": "timeout"})
        for pid, child in list(self.queued.items()):
            if now > child.deadline:
                self._end_queued(pid, child)
        self._reap()
        for folder in [folder for folder, when in self.next_poll.items() if when <= now]:
            try:
                self._poll(folder)
            except Exception as error:  # one folder that cannot be polled leaves the others theirs
                print(f"{folder}: {error_sentence(error)}", file=sys.stderr, flush=True)
                self.next_poll[folder] = time.monotonic() + RETRY_SECONDS
        if self.to_preload and time.monotonic() - self.last_message > IDLE_SECONDS:
            self.to_preload = False
            _preload()

    def _has_slot(self, task: Task) -> bool:
        taken = sum(other.kind.slots == task.kind.slots for other in self.running.values())
        return taken < n_slots(task.kind.slots)

    def _begin(self, task: Task) -> None:
        try:
            with _environment_of(task.environment):
                job = task.job | {"folder": self._job_folder()}
                task.pid, task.pipe = self.start_child(task.kind, job)
        except OSError as error:
            self._send({"error": f"the process could not be started: {error.strerror}"}, task.number)
            return
        task.job = job
        if task.seconds is not None:
            task.deadline = time.monotonic() + task.seconds
        self.running[task.pipe] = task
        self.selector.register(task.pipe, selectors.EVENT_READ)

    def _read_answer(self, task: Task) -> None:
        """Take in what a job says: reports, then its answer; without an answer its process was killed."""
        data = os.read(task.pipe, 1 << 20)
        task.received += data
        while b"\n" in task.received:
            line, _, rest = task.received.partition(b"\n")
            task.received = bytearray(rest)
            message = json.loads(line)
            if "report" not in message:
                self._finish(task, message)
                return
            self._send(message, task.number)
        if not data:
            self._finish(task, {"error": ENDED, "cause": "ended"})

    def _cancel(self, number: int) -> None:
        cancelled = {"error": "it was cancelled", "cause": "cancelled"}
        for task in list(self.waiting):
            if task.number == number:
                self.waiting.remove(task)
                self._send(cancelled, number)
        for task in list(self.running.values()):
            if task.number == number:
                self._finish(task, cancelled)

    def _finish(self, task: Task, answer: dict[str, Any]) -> None:
        self.selector.unregister(task.pipe)
        os.close(task.pipe)
        del self.running[task.pipe]
        _kill(task.pid)
        shutil.rmtree(task.job["folder"], ignore_errors=True)
        self._send(answer, task.number)

    def _send(self, message: dict[str, Any], number: int) -> None:
        with contextlib.suppress(OSError):
            write_all(1, json.dumps(message | {"number": number}).encode() + b"\n")

    def _poll(self, folder: Path) -> None:
        environment = self.folders[folder]
        if not folder.is_dir():
            self.next_poll.pop(folder)
            return
        limits = Limits.from_environment(environment)
        with _environment_of(environment):
            queue.poll(folder, lambda job, log: self._launch(folder, job, log), limits)
        now = time.monotonic()
        if now - self.last_cleaned.get(folder, 0.0) > CLEAN_SECONDS:
            self.last_cleaned[folder] = now
            self.cleaner.clean(folder, limits)
        self.next_poll[folder] = now + (BUSY_SECONDS if queue.is_busy(folder) else CLEAN_SECONDS)

    def _launch(self, folder: Path, job: dict[str, Any], log: Path) -> int:
        """Start the process of a queued job; return its id."""
        kind = find_kind(job["kind"], job["module"])
        temporary = None if kind.outlives_server else self._job_folder()
        pid, _ = self.start_child(kind, job | {"log": str(log), "folder": temporary})
        deadline = float("inf") if kind.seconds is None else time.monotonic() + kind.seconds
        self.queued[pid] = QueuedChild(folder, log, temporary, kind.seconds, deadline)
        return pid

    def _end_queued(self, pid: int, child: QueuedChild) -> None:
        """End the process of a queued job that has taken too long, and say so in its log."""
        self.queued[pid] = replace(child, deadline=float("inf"))  # until it is reaped
        _kill(pid)
        _append_error(child.log, _too_long(child.seconds))

    def _reap(self) -> None:
        """Reap the children that have ended; what waits for their slots is looked at now."""
        for pid, was_killed in self._ended():
            child = self.queued.pop(pid, None)
            if child is None:
                continue
            self.next_poll[child.folder] = 0.0
            if child.temporary is not None:
                shutil.rmtree(child.temporary, ignore_errors=True)
                if was_killed and child.log.is_file() and last_error(child.log) is None:
                    _append_error(child.log, ENDED)

    def _ended(self) -> list[tuple[int, bool]]:
        """Return the children that have ended since the last time, and whether a signal ended them."""
        if not self.forks:
            return [(process.pid, process.returncode < 0) for process in reap_processes()]
        ended = []
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                ended.append((found[0], os.WIFSIGNALED(found[1])))
        return ended

    def _job_folder(self) -> str:
        """Make a folder for the temporary files of one job."""
        self.n_temporary += 1
        folder = self.temporary / str(self.n_temporary)
        folder.mkdir(parents=True)
        return str(folder)

    def _end(self) -> None:
        """The server is gone: end every job but runs, and remove their temporary files."""
        for task in self.running.values():
            _kill(task.pid)
        for pid, child in self.queued.items():
            if child.temporary is not None:
                _kill(pid)
        shutil.rmtree(self.temporary, ignore_errors=True)


def serve() -> None:
    """Start jobs for whoever writes to standard input, until it closes."""
    Supervisor().serve()


def _too_long(seconds: float) -> str:
    """Return the sentence about a job that took more than this."""
    return f"it took more than {seconds:g} seconds and was ended"


def _append_error(log: Path, sentence: str) -> None:
    """Say in the log of a queued job why it ended, where the disk takes it."""
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
        file.write(f"{ERROR}{sentence}\n")


def _temporary_folder() -> Path:
    """Return this process's folder for temporary files of jobs; remove those of supervisors that were killed."""
    parent, own = Path(tempfile.gettempdir()), process_identity(os.getpid())
    for folder in parent.glob(f"{TEMPORARY}*"):
        pid, _, born = folder.name.removeprefix(TEMPORARY).partition("-")
        if pid.isdigit() and born.isdigit() and not process_is_running({"pid": int(pid), "born": int(born)}):
            shutil.rmtree(folder, ignore_errors=True)
    return parent / f"{TEMPORARY}{own['pid']}-{own['born']}"


def _kill(pid: int) -> None:
    """End a child and whatever it has started."""
    ways = [(os.kill, signal.SIGTERM)]  # Windows
    if hasattr(os, "killpg"):  # a child leads a group of its own, unless it has been forked just now
        ways = [(os.killpg, signal.SIGKILL), (os.kill, signal.SIGKILL)]
    for kill, signum in ways:
        with contextlib.suppress(OSError):
            kill(pid, signum)


def _preload() -> None:
    """Load what every run of the built-in stories begins with: text, no tensors."""
    import gptcore.runs.recorder
    import gptcore.training.loop  # noqa: F401
    from gptcore.corpora.encoding import encode_corpus
    from gptcore.corpora.sources import load_corpus
    from gptcore.stories.scores import score_text
    from gptcore.tokenizer import story_tokenizer

    stories = load_corpus("stories")
    encode_corpus(stories, story_tokenizer())
    score_text(stories.validation[0])  # it compares with all that the training stories say
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, pages that children share


@contextlib.contextmanager
def _environment_of(environment: dict[str, str]):
    """Give children the GLASSBOX_ settings of the server that asks, and none of another's."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
