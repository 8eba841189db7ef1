"""One warm process from which jobs are forked, so that a click need not wait for torch to be imported.

The server starts `python -m gptcore nursery` with `subprocess`. It imports torch, computes nothing (a process that
has computed has threads, and threads do not survive a fork), and forks for every job: a run, which outlives the
nursery and the server, or a function whose result somebody waits for, which has a time limit and does not. What a
fork runs is the function behind the command, so both give the same numbers. Where forking is not safe, on macOS, on
Windows and beside a GPU, the command itself is started.

Server and nursery speak in lines of JSON over a pipe; when the server is gone the pipe ends, and so does the nursery.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptcore.experiments import claim_queue
from gptcore.resources import available_cores
from gptcore.runs.cleaner import Cleaner
from gptcore.runs.limits import PREFIX, Limits
from gptcore.runs.queue import is_busy, poll

PRIORITY = 5  # how far a job gives way to the server
BUSY_SECONDS = 0.3  # between two looks at a queue in which something may change
AGAIN_SECONDS = 2.0  # before a queue that could not be looked at is tried again
IDLE_SECONDS = 0.3  # without a word from the server, it makes ready for one
CLEAN_SECONDS = 60.0
GPUS = ("/dev/nvidiactl", "/dev/kfd")
ROOT = Path(__file__).resolve().parents[2]


class JobError(ValueError):
    """A job that gave no result, said in one sentence."""


def can_fork() -> bool:
    """Return whether a process that has imported torch may fork here."""
    return sys.platform == "linux" and not any(Path(gpu).exists() for gpu in GPUS)


# --- the side of the server


class Nursery:
    """The nursery as its server sees it; any thread may call."""

    def __init__(self):
        self._changing = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._waiting: dict[int, Future] = {}
        self._number = 0

    def start(self) -> None:
        """See that the process is there; it imports what it needs while others go on."""
        with self._changing:
            self._start()

    def _start(self) -> subprocess.Popen:
        if self._process is None or self._process.poll() is not None:
            self._waiting = {}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gptcore", "nursery"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,  # a thread that waits in a buffered read holds up the end of the server
                env=_environment(),
                start_new_session=True,  # Ctrl-C in the server's terminal is not meant for runs
            )
            reader = threading.Thread(target=_read, args=(self._process, self._waiting), daemon=True)
            reader.start()
        return self._process

    def _say(self, message: dict[str, Any], answer: Future | None = None) -> None:
        with self._changing:
            process = self._start()
            if answer is not None:
                self._number += 1
                self._waiting[self._number] = answer
                message |= {"number": self._number}
            try:
                _write(process.stdin.fileno(), json.dumps(message).encode() + b"\n")
            except OSError:  # it has just ended; the reader tells whoever waits
                if answer is not None and not answer.done():
                    answer.set_exception(JobError("the process that runs jobs has ended; try again"))

    def warm(self) -> None:
        """Have it make ready for runs of the built-in stories, once nobody wants anything."""
        self._say({"warm": True})

    def tend(self, folder: Path) -> None:
        """Have the queue of a runs folder looked after from now on, and looked at now."""
        self._say({"tend": str(folder), "environment": _settings()})

    def run(self, function: str, payload: Any = None, *, seconds: float) -> Any:
        """Return what `module:function` gives for a payload, computed in a child within `seconds`.

        Payload and result are what JSON can hold. The limit counts from when the child begins. Raises JobError
        where the function raises (with its sentence), takes too long, or its process is killed.
        """
        answer: Future = Future()
        job = {"function": function, "payload": payload, "seconds": seconds}
        self._say({"job": job, "environment": _settings()}, answer)
        found = answer.result()
        if "error" in found:
            raise JobError(found["error"])
        return found["result"]

    def close(self) -> None:
        """End the process; runs it has started go on."""
        with self._changing:
            if self._process is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
                _started.append(self._process)  # it ends in its own time
                self._process = None


@functools.lru_cache(maxsize=1)
def shared() -> Nursery:
    """Return the one nursery of this process."""
    nursery = Nursery()
    atexit.register(nursery.close)
    return nursery


def run(function: str, payload: Any = None, *, seconds: float) -> Any:
    """Return what `module:function` gives for a payload, computed in a child of the shared nursery."""
    return shared().run(function, payload, seconds=seconds)


def _read(process: subprocess.Popen, waiting: dict[int, Future]) -> None:
    """Hand each answer to whoever waits for it; when the process ends, tell those that are left."""
    heard = b""
    with contextlib.suppress(OSError):
        while data := os.read(process.stdout.fileno(), 1 << 16):
            *lines, heard = (heard + data).split(b"\n")
            for answer in map(json.loads, lines):
                waiting.pop(answer["number"]).set_result(answer)
    for left in list(waiting.values()):
        if not left.done():
            left.set_exception(JobError("the process that runs jobs has ended; try again"))


def _write(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": path}


def launch_command(words: Sequence[str], log: Path) -> int:
    """Start `python -m gptcore …` as a process that outlives this one; return its number."""
    with log.open("r+b") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "gptcore", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=_environment(),
            start_new_session=True,
        )
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, process.pid, PRIORITY)
    _started.append(process)
    return process.pid


_started: list[subprocess.Popen] = []  # kept, so that a child that ends is no zombie


def _reap_commands() -> None:
    _started[:] = [process for process in _started if process.poll() is None]


# --- the side of the process that forks


def launch_fork(words: Sequence[str], log: Path) -> int:
    """Fork, and call the function behind `python -m gptcore …` in the child; return its number."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _become_a_job()
        _open_as(os.devnull, os.O_RDONLY, 0)
        _open_as(os.devnull, os.O_WRONLY, 1)
        _open_as(str(log), os.O_WRONLY | os.O_CREAT, 2)  # over the room that is reserved in it
        os.closerange(3, 256)
        from gptcore.__main__ import main

        status = main(list(words))
        sys.stderr.flush()
    except BaseException as error:
        traceback.print_exc()
        print(f"error: {_sentence(error)}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)  # what the nursery has open and registered is not the child's to close


def _become_a_job() -> None:
    os.setsid()
    os.nice(PRIORITY)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL if signum != signal.SIGINT else signal.default_int_handler)


def _open_as(path: str, flags: int, number: int) -> None:
    handle = os.open(path, flags, 0o644)
    if handle != number:
        os.dup2(handle, number)
        os.close(handle)


@dataclass
class Job:
    """A function at work in a child, and what it has answered so far."""

    number: int
    pid: int
    pipe: int
    seconds: float
    until: float  # by time.monotonic()
    answer: bytearray = field(default_factory=bytearray)


def fork_job(job: dict[str, Any]) -> tuple[int, int]:
    """Fork, and call a function in the child; return its number and the pipe its answer comes through."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        _become_a_job()
        work(job, writing)
    finally:
        os._exit(0)


def start_job(job: dict[str, Any]) -> tuple[int, int]:
    """Start a process that calls a function, where forking is not safe; as `fork_job`."""
    with tempfile.TemporaryFile() as asked:
        asked.write(json.dumps(job).encode())
        asked.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "gptcore", "nursery", "--once"],
            stdin=asked,
            stdout=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,
        )
    _started.append(process)
    return process.pid, os.dup(process.stdout.fileno())


def work(job: dict[str, Any], writing: int) -> None:
    """Call a job's function and write what it gives to a pipe; what it prints goes nowhere."""
    _open_as(os.devnull, os.O_RDONLY, 0)
    _open_as(os.devnull, os.O_WRONLY, 1)
    try:
        module, _, name = job["function"].partition(":")
        result = getattr(importlib.import_module(module), name)(job["payload"])
        answer = json.dumps({"result": result})
    except BaseException as error:
        answer = json.dumps({"error": _sentence(error)})
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(answer.encode())


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def once() -> None:
    """Do the one job that standard input describes and answer on standard output."""
    work(json.loads(sys.stdin.buffer.read()), os.dup(1))


def serve() -> None:
    """Fork for whoever writes to standard input, until it ends."""
    Keeper().serve()


class Keeper:
    """The process that forks: it hears what its server wants, and watches queues and children."""

    def __init__(self):
        self.forks = can_fork()
        self.jobs: dict[int, Job] = {}  # by pipe
        self.patient: deque[tuple[int, dict[str, Any], dict[str, str]]] = deque()  # jobs that wait for a core
        self.folders: dict[Path, dict[str, str]] = {}
        self.looks: dict[Path, float] = {}
        self.cleaner = Cleaner()
        self.cleaned: dict[Path, float] = {}
        self.selector = selectors.DefaultSelector()
        self.heard = bytearray()
        self.is_warm = True  # unless it is asked to make ready
        self.spoken_to = 0.0

    def serve(self) -> None:
        if self.forks:
            import torch  # noqa: F401 - so that no child need import it
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it, by closing the pipe
        os.set_blocking(0, False)
        self.selector.register(0, selectors.EVENT_READ)
        self.spoken_to = time.monotonic()
        while True:
            for key, _ in self.selector.select(self._patience()):
                if key.fd == 0:
                    if not self._hear():
                        self._end()
                        return
                else:
                    self._read_answer(self.jobs[key.fd])
            self._look()

    def _patience(self) -> float:
        """Return the seconds until something is to be looked at."""
        if not self.is_warm:
            return IDLE_SECONDS
        now = time.monotonic()
        times = [*self.looks.values(), *(job.until for job in self.jobs.values())]
        return min(5.0, max(0.0, min(times, default=now + 5.0) - now))

    def _hear(self) -> bool:
        """Take in what the server says; return False once it is gone."""
        data = os.read(0, 1 << 16)
        self.heard += data
        self.spoken_to = time.monotonic()
        while b"\n" in self.heard:
            line, _, rest = self.heard.partition(b"\n")
            self.heard = bytearray(rest)
            message = json.loads(line)
            if "tend" in message:
                folder = Path(message["tend"])
                self.folders[folder] = message["environment"]
                self.looks[folder] = 0.0
            elif "warm" in message:
                self.is_warm = False
            elif "job" in message:
                self.patient.append((message["number"], message["job"], message["environment"]))
        return bool(data)

    def _look(self) -> None:
        """Launch what may be launched, end what has taken too long, bury children."""
        now = time.monotonic()
        while self.patient and len(self.jobs) < available_cores():
            self._begin(*self.patient.popleft())
        for job in list(self.jobs.values()):
            if now > job.until:
                self._finish(job, {"error": f"it took more than {job.seconds:g} seconds and was ended"})
        self._bury()
        for folder in [folder for folder, when in self.looks.items() if when <= now]:
            try:
                self._tend(folder)
            except (ValueError, OSError) as error:  # another server holds the folder, or the disk is full
                print(f"{folder}: {error}", file=sys.stderr, flush=True)
                self.looks[folder] = time.monotonic() + AGAIN_SECONDS
        if not self.is_warm and time.monotonic() - self.spoken_to > IDLE_SECONDS:
            self._warm()

    def _warm(self) -> None:
        """Have at hand what every run of the built-in stories begins with: text, no tensors."""
        self.is_warm = True
        if self.forks:
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

    def _tend(self, folder: Path) -> None:
        environment = self.folders[folder]
        if not folder.is_dir():
            self.looks.pop(folder)
            return
        limits = Limits.from_environment(environment)
        launch = launch_fork if self.forks else launch_command
        with _settings_of(environment):
            poll(folder, launch, limits)
            claim_queue.tend(folder, launch)
        now = time.monotonic()
        if now - self.cleaned.get(folder, 0.0) > CLEAN_SECONDS:
            self.cleaned[folder] = now
            self.cleaner.clean(folder, limits)
        busy = is_busy(folder) or claim_queue.is_busy(folder)
        self.looks[folder] = now + (BUSY_SECONDS if busy else CLEAN_SECONDS)

    def _begin(self, number: int, job: dict[str, Any], environment: dict[str, str]) -> None:
        try:
            with _settings_of(environment):
                pid, pipe = (fork_job if self.forks else start_job)(job)
        except OSError as error:
            self._answer(number, {"error": f"the process could not be started: {error.strerror}"})
            return
        begun = Job(number, pid, pipe, job["seconds"], time.monotonic() + job["seconds"])
        self.jobs[pipe] = begun
        self.selector.register(pipe, selectors.EVENT_READ)

    def _read_answer(self, job: Job) -> None:
        data = os.read(job.pipe, 1 << 20)
        job.answer += data
        if data:
            return
        try:
            self._finish(job, json.loads(job.answer))
        except ValueError:
            self._finish(job, {"error": "its process was killed, perhaps for want of memory"})

    def _finish(self, job: Job, answer: dict[str, Any]) -> None:
        self.selector.unregister(job.pipe)
        os.close(job.pipe)
        del self.jobs[job.pipe]
        with contextlib.suppress(OSError):
            os.killpg(job.pid, signal.SIGKILL)  # it and whatever it has started
        self._answer(job.number, answer)

    def _answer(self, number: int, answer: dict[str, Any]) -> None:
        line = json.dumps(answer | {"number": number}).encode() + b"\n"
        with contextlib.suppress(OSError):
            _write(1, line)

    def _bury(self) -> None:
        if not self.forks:
            _reap_commands()
            return
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def _end(self) -> None:
        """The server is gone: end the jobs whose results nobody will read. Runs go on."""
        for job in self.jobs.values():
            with contextlib.suppress(OSError):
                os.killpg(job.pid, signal.SIGKILL)


@contextlib.contextmanager
def _settings_of(environment: dict[str, str]):
    """Have children see the settings of the server that asks, and nothing of another's."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
