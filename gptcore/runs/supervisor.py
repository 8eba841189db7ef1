"""The process that starts every job, watches it, and cleans up after it.

It imports torch and computes nothing with it: a process in which torch has computed has threads, and threads do not
survive a fork. What it prepares before the first request (`_preload`) is text, read and encoded without a tensor.

Jobs whose result somebody waits for come over standard input and wait in its memory; runs and claims wait in the
queue on disk (`queue.py`). All of them take slots, have the limits of their kind, and leave nothing behind.
"""

import contextlib
import functools
import gc
import json
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gptcore.resources import (
    end_process,
    process_identity,
    process_is_running,
    resident_bytes,
    return_freed_memory,
)
from gptcore.runs import free_memory, queue, ray_jobs
from gptcore.runs.cleaner import Cleaner
from gptcore.runs.jobs import (
    FOLDERS,
    MEASUREMENT,
    JobError,
    JobKind,
    append_error,
    error_sentence,
    find_kind,
    last_error,
    log_line,
    n_slots,
)
from gptcore.runs.limits import PREFIX, Limits
from gptcore.runs.pipes import SelectedPipes, ThreadedPipes
from gptcore.runs.queue_watch import QueueWatch, memory_sentence, most_seconds
from gptcore.runs.worker_process import (
    CPU_SIGNAL,
    can_fork,
    fork_child,
    reap_processes,
    start_child,
    wait_for_signal,
    write_all,
)

BUSY_SECONDS = 0.3  # between two polls of a queue in which something may change
RETRY_SECONDS = 2.0  # before a queue that could not be polled is polled again
IDLE_SECONDS = 0.3  # without a message from the server, before preloading begins
CLEAN_SECONDS = 60.0
WATCH_SECONDS = 1.0  # between two checks of the jobs' memory
PAUSE_SECONDS = 0.2  # after something unforeseen, so that what fails at once is not tried without a rest
TEMPORARY = "glassbox-workers-"  # how the folder for the temporary files of jobs begins
NOBODY = -1  # the number of a task that no server waits for
ENDED = "its process ended without a result; perhaps because memory ran out; try a smaller model"
OUT_OF_CPU = "it used all the processor time that a job may use and was stopped"


@dataclass(eq=False)
class Task:
    """A job whose result somebody waits for: waiting for a slot, then running in a child."""

    number: int
    kind: JobKind
    job: dict[str, Any]
    seconds: float | None
    environment: dict[str, str]
    memory_mb: float = float("inf")  # resident
    pid: int = 0
    ended_by: int | None = None  # the signal, 0 for none, once its process has been reaped
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
        self.folders: dict[Path, dict[str, str]] = {}  # runs folders, with the settings of their server
        self.next_poll: dict[Path, float] = {}
        self.cleaner, self.last_cleaned = Cleaner(), {}
        self.watch, self.next_watch = QueueWatch(), 0.0
        self.has_queued_processes = False
        self.pipes = SelectedPipes() if self.forks else ThreadedPipes()
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
        self.pipes.watch(0)
        self.last_message = time.monotonic()
        try:
            while True:
                for pipe, data in self.pipes.read(self._seconds_to_wait()):
                    if pipe == 0 and not data:
                        return
                    if pipe == 0:
                        self._read_messages(data)
                    elif pipe in self.running:  # a message may just have canceled it
                        self._guarded(self._read_answer, self.running[pipe], data)
                self._guarded(self._advance)
        finally:
            self._end()

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        """Do something; any exception goes to the log, and the supervisor continues."""
        try:
            work(*arguments)
        except Exception as error:
            log_line(f"the supervisor goes on after {type(error).__name__}: {error_sentence(error)}")
            time.sleep(PAUSE_SECONDS)

    def _seconds_to_wait(self) -> float:
        """Return the seconds until something must be done without a message."""
        if self.to_preload:
            return IDLE_SECONDS
        now = time.monotonic()
        times = [*self.next_poll.values(), *(task.deadline for task in self.running.values())]
        times += [child.deadline for child in self.queued.values()]
        if self.running or self.has_queued_processes:
            times.append(self.next_watch)
        return min(5.0, max(0.0, min(times, default=now + 5.0) - now))

    def _read_messages(self, data: bytes) -> None:
        """Take in what the server says."""
        self.received += data
        self.last_message = time.monotonic()
        while b"\n" in self.received:
            line, _, rest = self.received.partition(b"\n")
            self.received = bytearray(rest)
            self._guarded(self._handle, json.loads(line))

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
        if now >= self.next_watch:
            self.next_watch = now + WATCH_SECONDS
            self._watch_tasks()
            self.has_queued_processes = any([self._watch_folder(folder) for folder in self.folders])
        for folder in [folder for folder, when in self.next_poll.items() if when <= now]:
            try:
                self._poll(folder)
            except Exception as error:  # one folder that cannot be polled leaves the others theirs
                log_line(f"{folder}: {error_sentence(error)}")
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
                task.memory_mb = Limits.from_environment().memory_mb
                if self.forks and task.kind.memory_mb is not None:  # elsewhere a GPU's libraries take as much
                    task.memory_mb = min(task.memory_mb, task.kind.memory_mb)
                most = task.kind.most_cpu_seconds(task.seconds)
                job = task.job | {"folder": self._job_folder(), "cpu_seconds": most}
                task.pid, task.pipe = self.start_child(task.kind, job)
        except Exception as error:
            reason = error.strerror if isinstance(error, OSError) else error_sentence(error)
            self._send({"error": f"the process could not be started: {reason}"}, task.number)
            return
        task.job = job
        if task.seconds is not None:
            task.deadline = time.monotonic() + task.seconds
        self.running[task.pipe] = task
        self.pipes.watch(task.pipe)

    def _read_answer(self, task: Task, data: bytes) -> None:
        """Take in what a job says: reports, then its answer; without an answer its process was killed."""
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
            end_process(task.pid)
            signum = wait_for_signal(task.pid) if task.ended_by is None else task.ended_by
            is_out_of_cpu = signum != 0 and signum == CPU_SIGNAL
            self._finish(
                task,
                {"error": OUT_OF_CPU, "cause": "timeout"}
                if is_out_of_cpu
                else {"error": ENDED, "cause": "ended"},
            )

    def _watch_tasks(self) -> None:
        """End the jobs that somebody waits for and that hold more memory than they may."""
        for task in list(self.running.values()):
            sentence = memory_sentence(resident_bytes(task.pid), task.memory_mb)
            if sentence is not None:
                self._finish(task, {"error": sentence, "cause": "ended"})

    def _watch_folder(self, folder: Path) -> bool:
        """End the queued jobs of a folder that go beyond their limits; return whether any is running."""
        try:
            return self.watch.check(folder, Limits.from_environment(self.folders[folder]))
        except Exception as error:
            log_line(f"{folder} cannot be watched: {error_sentence(error)}")
            return False

    def _cancel(self, number: int) -> None:
        cancelled = {"error": "it was canceled", "cause": "cancelled"}
        for task in list(self.waiting):
            if task.number == number:
                self.waiting.remove(task)
                self._send(cancelled, number)
        for task in list(self.running.values()):
            if task.number == number:
                self._finish(task, cancelled)

    def _finish(self, task: Task, answer: dict[str, Any]) -> None:
        del self.running[task.pipe]
        end_process(task.pid)
        self.pipes.close(task.pipe)
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
        on_cluster = bool(environment.get(ray_jobs.ADDRESS))
        with _environment_of(environment):
            launch = functools.partial(self._launch, folder, limits)
            slot_kinds = [MEASUREMENT] if on_cluster else FOLDERS
            # A process that does not fork may train on a GPU.
            lack = free_memory.lack_of_request if self.forks else None
            launched = queue.poll(folder, launch, limits, slot_kinds=slot_kinds, lack=lack)
        if on_cluster and ray_jobs.has_work(folder):
            self._follow_cluster(folder, environment)
        self.has_queued_processes |= bool(launched)
        now = time.monotonic()
        if now - self.last_cleaned.get(folder, 0.0) > CLEAN_SECONDS:
            self.last_cleaned[folder] = now
            self.cleaner.clean(folder, limits)
        self.next_poll[folder] = now + (BUSY_SECONDS if queue.is_busy(folder) else CLEAN_SECONDS)

    def _follow_cluster(self, folder: Path, environment: dict[str, str]) -> None:
        """Start the process that follows the Ray cluster for a folder, unless there is one."""
        job = {"kind": "ray", "module": ray_jobs.__name__, "settings": {"folder": str(folder)}}
        if not any(task.job["settings"] == job["settings"] for task in self.running.values()):
            task = Task(NOBODY, find_kind(job["kind"], job["module"]), job, None, environment)
            self._begin(task)
            task.memory_mb = float("inf")  # the limit is for what visitors ask for

    def _launch(self, folder: Path, limits: Limits, job: dict[str, Any], log: Path) -> dict[str, int]:
        """Start the process of a queued job; return its identity."""
        kind = find_kind(job["kind"], job["module"])
        temporary = None if kind.outlives_server else self._job_folder()
        most = kind.most_cpu_seconds(kind.seconds or most_seconds(limits))
        pid, _ = self.start_child(kind, job | {"log": str(log), "folder": temporary, "cpu_seconds": most})
        deadline = float("inf") if kind.seconds is None else time.monotonic() + kind.seconds
        self.queued[pid] = QueuedChild(folder, log, temporary, kind.seconds, deadline)
        return process_identity(pid)

    def _end_queued(self, pid: int, child: QueuedChild) -> None:
        """End the process of a queued job that has taken too long, and say so in its log."""
        self.queued[pid] = replace(child, deadline=float("inf"))  # until it is reaped
        append_error(child.log, _too_long(child.seconds))
        end_process(pid)

    def _reap(self) -> None:
        """Reap the children that have ended; what waits for their slots is looked at now."""
        for pid, signum in self._ended():
            child = self.queued.pop(pid, None)
            if child is None:
                for task in self.running.values():
                    task.ended_by = signum if task.pid == pid else task.ended_by
                continue
            self.next_poll[child.folder] = 0.0
            if child.temporary is not None:
                shutil.rmtree(child.temporary, ignore_errors=True)
            if signum and child.log.is_file() and last_error(child.log) is None:
                if signum == CPU_SIGNAL:
                    append_error(child.log, OUT_OF_CPU)
                elif child.temporary is not None:  # a run that was killed can be resumed
                    append_error(child.log, ENDED)

    def _ended(self) -> list[tuple[int, int]]:
        """Return the children that have ended since the last time, and which signal ended each, 0 for none."""
        if not self.forks:
            return [(process.pid, max(0, -process.returncode)) for process in reap_processes()]
        ended = []
        with contextlib.suppress(ChildProcessError):
            while (child := os.waitpid(-1, os.WNOHANG))[0]:
                ended.append((child[0], os.WTERMSIG(child[1]) if os.WIFSIGNALED(child[1]) else 0))
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
            end_process(task.pid)
        for pid, child in self.queued.items():
            if child.temporary is not None:
                end_process(pid)
        shutil.rmtree(self.temporary, ignore_errors=True)


def serve() -> None:
    """Start the jobs written to standard input, until it closes."""
    Supervisor().serve()


def _too_long(seconds: float) -> str:
    """Return the sentence about a job that took more than this."""
    return f"it took more than {seconds:g} seconds and was stopped"


def _temporary_folder() -> Path:
    """Return this process's folder for temporary files of jobs; remove those of supervisors that were killed."""
    parent, own = Path(tempfile.gettempdir()), process_identity(os.getpid())
    for folder in parent.glob(f"{TEMPORARY}*"):
        match = re.fullmatch(r"([0-9]{1,20})-([0-9]{1,20})", folder.name.removeprefix(TEMPORARY))
        if match and not process_is_running({"pid": int(match[1]), "born": int(match[2])}):
            shutil.rmtree(folder, ignore_errors=True)
    return parent / f"{TEMPORARY}{own['pid']}-{own['born']}"


def _preload() -> None:
    """Load what every run of the built-in stories begins with: text, no tensors."""
    import gptcore.runs.recorder  # noqa: F401
    import gptcore.training.loop  # noqa: F401
    from gptcore.corpora.encoding import encode_corpus
    from gptcore.corpora.sources import load_corpus
    from gptcore.stories.scores import score_text
    from gptcore.tokenizer import story_tokenizer

    stories = load_corpus("stories")
    encode_corpus(stories, story_tokenizer())
    score_text(stories.validation[0])  # it compares with all that the training stories say
    gc.collect()
    return_freed_memory()
    gc.freeze()  # the collector would touch, and so copy, pages that children share


@contextlib.contextmanager
def _environment_of(environment: dict[str, str]):
    """Give children the GLASSBOX_ settings of their server, and none of another's."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
