"""The worker pool as a server sees it: ask for a job, read what it reports, wait for its result.

The pool is a separate process, the supervisor (`supervisor.py`), so that a click need not wait until torch is
imported and a server that is busy does not slow its jobs. Both speak in lines of JSON over pipes. When the server is
gone its pipe closes, and the supervisor ends; runs continue, every other job ends with it.
"""

import atexit
import contextlib
import functools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptcore.runs.jobs import JobError, registered_kind
from gptcore.runs.limits import PREFIX
from gptcore.runs.worker_process import child_environment, own_session, write_all

if TYPE_CHECKING:  # importing it takes torch, which the first words of a page need not wait for
    from gptcore.runs.request import RunRequest

ENDED = {"error": "the process that runs jobs has ended; try again", "cause": "ended"}
FIRST_DELAY, LONGEST_DELAY = 0.5, 60.0  # seconds until a supervisor that ended is started again
STEADY_SECONDS = 60.0  # one that has lived so long is no part of a crash loop


class Job:
    """One requested job; any thread may call."""

    def __init__(self, pool: "WorkerPool", number: int, kind: str):
        self.kind = kind
        self._pool, self._number = pool, number
        self._answer: Future = Future()
        self._reports: list[Any] = []

    @property
    def reports(self) -> list[Any]:
        """What the job has reported so far, in order."""
        return list(self._reports)

    def is_done(self) -> bool:
        """Return whether the job has ended, with a result or without."""
        return self._answer.done()

    def result(self) -> Any:
        """Wait for the job and return its result; raises JobError where there is none."""
        return self._answer.result()

    def error(self) -> JobError | None:
        """Return why the job has no result; None while it runs and after a result."""
        return self._answer.exception() if self.is_done() else None

    def cancel(self) -> None:
        """End the job for everybody who waits for it; what it has reported stays."""
        self._pool._send({"cancel": self._number})

    def _receive(self, message: dict[str, Any]) -> None:
        if "report" in message:
            self._reports.append(message["report"])
            return
        with contextlib.suppress(InvalidStateError):  # the supervisor's end may be noticed twice
            if "error" in message:
                self._answer.set_exception(JobError(message["error"], message.get("cause", "failed")))
            else:
                self._answer.set_result(message["result"])


class WorkerPool:
    """The supervisor as its server sees it, started with `command`; any thread may call."""

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "gptcore", "workers")):
        self._command = list(command)
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._jobs: dict[int, Job] = {}  # those without an answer yet
        self._by_key: dict[str, Job] = {}
        # What every supervisor is told when it starts: the last message about each queue, and whether to preload.
        self._standing: dict[Path | str, dict[str, Any]] = {}
        self._last_number = 0
        self._closed = threading.Event()
        self._delay = FIRST_DELAY

    @property
    def pid(self) -> int | None:
        """The process id of the supervisor; None while none runs."""
        process = self._process
        return None if process is None else process.pid

    @property
    def unanswered(self) -> list[str]:
        """The kinds of the jobs that somebody waits for, in the order in which they came."""
        return [job.kind for job in list(self._jobs.values())]

    def start(self) -> None:
        """Start the supervisor unless it runs already; it prepares while the server continues."""
        with self._lock:
            self._start()

    def preload(self) -> None:
        """Have the supervisor load what every run of the built-in stories needs, once it is idle."""
        with self._lock:
            self._start()
            self._standing["preload"] = {"preload": True}
            self._write({"preload": True})

    def poll(self, folder: Path) -> None:
        """Have the supervisor check the queue of a runs folder now, and watch it from now on."""
        message = {"poll": str(folder), "environment": _settings()}
        with self._lock:
            self._start()
            self._standing[folder] = message
            self._write(message)

    def submit(self, request: "RunRequest", *, seconds: float | None = None) -> Job:
        """Start a job of a registered kind when a slot is free, and return it at once.

        An equal request that has no result yet is the same job. `seconds` replaces the kind's own limit; either
        counts from when the job begins. Raises JobError for a kind that no loaded module registers.
        """
        module = registered_kind(request.kind).module
        with self._lock:
            known = self._by_key.get(request.key)
            if known is not None and not known.is_done():
                return known
            self._start()
            self._last_number += 1
            job = self._jobs[self._last_number] = Job(self, self._last_number, request.kind)
            self._by_key = {key: other for key, other in self._by_key.items() if not other.is_done()}
            self._by_key[request.key] = job
            message = {
                "job": {"kind": request.kind, "module": module, "settings": request.payload},
                "number": self._last_number,
                "seconds": seconds,
                "environment": _settings(),
            }
            if not self._write(message):
                job._receive(ENDED)
        return job

    def close(self) -> None:
        """End the supervisor and every job but runs."""
        with self._lock:
            self._closed.set()
            if self._process is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
                self._process = None

    def _send(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._start()
            self._write(message)

    def _start(self) -> None:
        if self._process is None:
            self._closed.clear()
            self._jobs, self._by_key = {}, {}
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,  # a thread that waits in a buffered read holds up the end of the server
                env=child_environment(),
                **own_session(),  # Ctrl-C in the server's terminal is not meant for runs
            )
            threading.Thread(target=self._listen, args=(self._process, self._jobs), daemon=True).start()
            for message in self._standing.values():
                self._write(message)

    def _listen(self, process: subprocess.Popen, jobs: dict[int, Job]) -> None:
        """Hand each message to its job; when the supervisor ends, fail the jobs that are left and start another."""
        rest, started = b"", time.monotonic()
        with contextlib.suppress(OSError):
            while data := os.read(process.stdout.fileno(), 1 << 16):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    _hand_on(line, jobs)
        with self._lock:
            has_died = self._process is process
            if has_died:  # it may take messages for a moment more, which nobody would answer
                self._process = None
        for job in list(jobs.values()):
            job._receive(ENDED)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        if has_died:
            self._restart(time.monotonic() - started)

    def _restart(self, lived: float) -> None:
        """Start another supervisor after a delay, which doubles while each ends soon; none once the pool is closed."""
        if lived > STEADY_SECONDS:
            self._delay = FIRST_DELAY
        while not self._closed.wait(self._delay):
            self._delay = min(LONGEST_DELAY, 2 * self._delay)
            with contextlib.suppress(OSError), self._lock:
                if not self._closed.is_set():
                    self._start()
                return

    def _write(self, message: dict[str, Any]) -> bool:
        """Send a message; return False if the supervisor has just ended."""
        try:
            write_all(self._process.stdin.fileno(), json.dumps(message).encode() + b"\n")
        except OSError:
            return False
        return True


def _hand_on(line: bytes, jobs: dict[int, Job]) -> None:
    """Give a message of the supervisor to the job that it is for; anything else is ignored."""
    try:
        message = json.loads(line)
        job = jobs[message["number"]] if "report" in message else jobs.pop(message["number"])
        job._receive(message)
    except (ValueError, KeyError, TypeError, RecursionError):
        return


@functools.lru_cache(maxsize=1)
def shared() -> WorkerPool:
    """Return the one pool of this process."""
    pool = WorkerPool()
    atexit.register(pool.close)
    return pool


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
