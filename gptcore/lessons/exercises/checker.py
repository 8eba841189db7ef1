"""Checks a learner's file in processes of its own, with limits on time and memory. Only the command line does this.

A learner's file may print, loop, crash or start processes. So the worker that checks it forks once more and runs the
file there: whatever the file does, the worker reads the verdict, ends every process that the file has left, and
answers. The verdict comes through a pipe whose number and password the file is not told.

What is not protected: the file runs as you, on your machine, with your rights. It can read and write your files, and a
file that searches the interpreter's memory for the password can pass itself. Where forking is unsafe (macOS, Windows,
a machine with a GPU) it runs in the worker itself, and can also leave processes behind.
"""

import contextlib
import ctypes
import json
import os
import secrets
import select
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from gptcore.files import read_bytes
from gptcore.lessons.exercises import LEARNER, ExerciseError, Verdict, check, get_exercise
from gptcore.runs import worker_pool
from gptcore.runs.jobs import INTERACTIVE, MEMORY_MB, JobError, Report, error_sentence, job_kind
from gptcore.runs.request import RunRequest
from gptcore.runs.worker_process import SET_DEATH_SIGNAL, can_fork, write_all

SECONDS = 20.0
SECONDS_TO_END = 10.0  # that the worker has beyond the file's own, to end what it has started
LARGEST_FILE = 10_000_000  # bytes
LARGEST_ANSWER = 1_000_000  # bytes
SET_CHILD_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux


def check_file(name: str, file: str | Path, seconds: float = SECONDS) -> Verdict:
    """Return the verdict on a file; raises ExerciseError for an unknown exercise or a file that is not there."""
    get_exercise(name)
    try:
        read_bytes(file, LARGEST_FILE)
    except OSError as error:
        raise ExerciseError(
            f"{file} cannot be read ({error.strerror}); print the stub with: python -m gptcore exercise {name}"
        ) from error
    settings = {"name": name, "file": str(Path(file).absolute()), "seconds": seconds}
    request = RunRequest(kind="exercise", settings=settings)
    try:
        return Verdict(**worker_pool.shared().submit(request, seconds=seconds + SECONDS_TO_END).result())
    except JobError as error:
        return _too_long(seconds) if error.cause == "timeout" else _ended(str(error))


def _too_long(seconds: float) -> Verdict:
    return Verdict(
        passed=False, says=f"It had not ended after {seconds:g} s; is there a loop that never ends?"
    )


def _ended(how: str) -> Verdict:
    return Verdict(passed=False, says=f"Your code ended the process before it could be checked: {how}")


@job_kind("exercise", slots=INTERACTIVE, seconds=SECONDS, memory_mb=MEMORY_MB)
def _check_exercise(settings: Mapping[str, Any], report: Report) -> dict[str, Any]:
    name, file = settings["name"], settings["file"]
    if not can_fork():
        return _judge(name, file).to_dict()
    get_exercise(name)  # before the fork, so that it need not import it
    return _judge_apart(name, file, settings["seconds"]).to_dict()


def _judge_apart(name: str, file: str, seconds: float) -> Verdict:
    """Return the verdict of a fork of this process; end it and every process it has started, in any session."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1)  # what outlives its parent becomes this process's child
    password = secrets.token_hex(16)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer(name, file, writing, password)
    os.close(writing)
    try:
        data, status = _read_until_end(reading, pid, time.monotonic() + seconds)
    finally:
        os.close(reading)
        _end_descendants()
    first, _, verdict = data.partition(b"\n")
    if first == password.encode():
        return Verdict(**json.loads(verdict))
    if status is None:
        return _too_long(seconds)
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        return _too_long(seconds)
    return _ended(f"by signal {-code}" if code < 0 else f"with exit status {code}")


def _answer(name: str, file: str, pipe: int, password: str) -> None:
    """Judge the file, write the verdict into a pipe, and end this process."""
    try:
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
        private = os.dup2(pipe, 100 + secrets.randbelow(800))
        os.closerange(3, private)  # the worker's own answer among them, which is not the file's to give
        os.closerange(private + 1, 4096)
        try:
            verdict = _judge(name, file)
        except BaseException as error:  # of the kinds that end a process
            verdict = _ended(f"{type(error).__name__}: {error_sentence(error)}")
        write_all(private, f"{password}\n{json.dumps(verdict.to_dict())}".encode())
    finally:
        os._exit(0)


def _read_until_end(pipe: int, pid: int, deadline: float) -> tuple[bytes, int | None]:
    """Return what a child has written when it ends, and its wait status; None where it has not ended by the deadline.

    A process that it has started may hold the pipe open, so the end of the pipe is not waited for.
    """
    data, status = b"", None
    while status is None and time.monotonic() < deadline:
        ended, wait_status = os.waitpid(pid, os.WNOHANG)
        status = wait_status if ended else None
        while len(data) < LARGEST_ANSWER and select.select([pipe], [], [], 0)[0]:
            if not (more := os.read(pipe, 1 << 16)):
                break
            data += more
        time.sleep(0.0 if ended else 0.005)
    return data, status


def _end_descendants() -> None:
    """End every process that this one or its children have started."""
    own = psutil.Process()
    while descendants := own.children(recursive=True):
        for process in descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.005)


def _judge(name: str, file: str) -> Verdict:
    """Return the verdict on a file; what its code raises while it is read becomes one too."""
    exercise = get_exercise(name)
    wanted = exercise.solution.__name__
    namespace = {"__name__": LEARNER, "__file__": file}
    try:
        exec(compile(read_bytes(file, LARGEST_FILE), file, "exec"), namespace)
        if not callable(namespace.get(wanted)):
            kind = "class" if isinstance(exercise.solution, type) else "function"
            return Verdict(passed=False, says=f"The file defines no {kind} {wanted}.")
        return check(exercise, namespace[wanted])
    except SystemExit as error:
        return _ended(f"it calls exit({error.code if error.code is not None else ''})")
    except SyntaxError as error:
        return Verdict(passed=False, says=f"Line {error.lineno} is not Python: {error.msg}.")
    except Exception as error:  # whatever it is, the learner is told
        return Verdict(passed=False, says=f"Reading the file raises {type(error).__name__}: {error}.")
