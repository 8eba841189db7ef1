"""The child processes in which jobs run: how they are started, and what they do.

Where forking is safe a child is a fork of the supervisor, which has imported torch already. Elsewhere it is a fresh
`python -m gptcore workers --once`. Both run the same registered function.

A job whose result somebody waits for answers through a pipe, in lines of JSON: any number of `{"report": …}`, then
`{"result": …}` or `{"error": …}`. A queued job writes its own files, and its last sentence to its log.
"""

import contextlib
import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from gptcore.resources import end_process, limit_memory
from gptcore.runs.jobs import ERROR, JobError, JobKind, error_sentence, find_kind

GPUS = ("/dev/nvidiactl", "/dev/kfd")
ROOT = Path(__file__).resolve().parents[2]
SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux

CPU_SIGNAL = getattr(signal, "SIGXCPU", None)  # ends a process that used up its processor time

# "kind", "module", "settings"; "folder" for temporary files, "cpu_seconds", "log" of a queued job
Job = Mapping[str, Any]

_processes: list[subprocess.Popen] = []  # those of `start_child`, until `reap_processes` finds them ended


def can_fork() -> bool:
    """Return whether a process that has imported torch may fork here."""
    return sys.platform == "linux" and not any(Path(gpu).exists() for gpu in GPUS)


def child_environment() -> dict[str, str]:
    """Return this process's environment, in which a child finds gptcore wherever it starts."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": path}


def reap_processes() -> list[subprocess.Popen]:
    """Reap the processes of `start_child` that have ended; return them."""
    ended = [process for process in _processes if process.poll() is not None]
    for process in ended:
        _processes.remove(process)
    return ended


def wait_for_signal(pid: int) -> int:
    """Wait for a child that is ending, and reap it; return the signal that ended it, 0 for none."""
    for process in _processes:
        if process.pid == pid:
            _processes.remove(process)
            return max(0, -process.wait())
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0
    return max(0, -code)


def fork_child(kind: JobKind, job: Job) -> tuple[int, int]:
    """Fork a child that runs a job; return its process id and the pipe it answers through (-1 for a queued job)."""
    parent, is_queued = os.getpid(), "log" in job
    reading, writing = (-1, -1) if is_queued else os.pipe()
    pid = os.fork()
    if pid:
        if not is_queued:
            os.close(writing)
        return pid, reading
    try:
        os.setsid()
        os.nice(kind.niceness)
        for signum in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not kind.outlives_server:
            ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
            if os.getppid() != parent:  # the supervisor ended before that
                return os._exit(1)
        if not is_queued:
            os.dup2(writing, 3)
        os.closerange(3 if is_queued else 4, 4096)
        run_job(job, 3)
    finally:
        os._exit(0)  # what the supervisor has open and registered is not the child's to close


def own_session() -> dict[str, Any]:
    """Return the options of `Popen` that keep a process from the Ctrl-C that is meant for this one."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def start_child(kind: JobKind, job: Job) -> tuple[int, int]:
    """Start a fresh process that runs a job; as `fork_child`. Call `reap_processes` now and then."""
    is_queued = "log" in job
    process = subprocess.Popen(
        [sys.executable, "-m", "gptcore", "workers", "--once"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL if is_queued else subprocess.PIPE,
        env=child_environment(),
        **own_session(),
    )
    with contextlib.suppress(psutil.Error, OSError):
        lower = psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else kind.niceness
        psutil.Process(process.pid).nice(lower)
    process.stdin.write(json.dumps(dict(job)).encode() + b"\n")
    process.stdin.flush()
    if kind.outlives_server:
        process.stdin.close()  # otherwise it stays open: when the supervisor ends, the child sees it close
    _processes.append(process)
    return process.pid, -1 if is_queued else os.dup(process.stdout.fileno())


def run_from_standard_input() -> None:
    """Run the one job that a line of standard input describes; answer on standard output."""
    job = json.loads(sys.stdin.buffer.readline())
    types = {"kind": str, "module": str, "settings": dict}
    if not isinstance(job, dict) or not all(isinstance(job.get(name), kind) for name, kind in types.items()):
        raise JobError("standard input contains no job; the app starts `workers`, don't run it yourself")
    if not find_kind(job["kind"], job["module"]).outlives_server:
        server = os.dup(0)
        threading.Thread(target=_end_with, args=(server,), daemon=True).start()
    run_job(job, os.dup(1))


def _end_with(pipe: int) -> None:
    """End this process and what it has started when the other end of a pipe closes."""
    while os.read(pipe, 1024):
        pass
    end_process(os.getpid())


def run_job(job: Job, answer: int) -> None:
    """Run a job in this process, and report its result: through the pipe `answer`, or in the job's log."""
    _replace(0, os.devnull, os.O_RDONLY)
    _replace(1, os.devnull, os.O_WRONLY)  # what a job prints is not its result
    if "log" in job:
        _replace(2, job["log"], os.O_WRONLY | os.O_CREAT)  # over the bytes that are reserved in it
        _run_queued(job)
    else:
        _run_answered(job, answer)


def _run_queued(job: Job) -> None:
    try:
        _work(job, lambda share: None)
    except BaseException as error:
        if not isinstance(error, (ValueError, OSError)):
            traceback.print_exc()
        print(f"{ERROR}{error_sentence(error)}", file=sys.stderr)
    sys.stderr.flush()


def _run_answered(job: Job, answer: int) -> None:
    def say(**message: Any) -> None:
        write_all(answer, json.dumps(message).encode() + b"\n")

    try:
        result = _work(job, lambda value: say(report=value))
        message = json.dumps({"result": result})
    except BaseException as error:
        message = json.dumps({"error": error_sentence(error)})
    write_all(answer, message.encode() + b"\n")
    os.close(answer)


def _work(job: Job, report) -> Any:
    kind = find_kind(job["kind"], job["module"])
    if job.get("folder"):
        tempfile.tempdir = job["folder"]  # removed when the job ends, however it ends
    if kind.memory_mb is not None:
        limit_memory(kind.memory_mb * 1_000_000)
    if job.get("cpu_seconds") is not None:
        _limit_cpu(job["cpu_seconds"])
    return kind.work(job["settings"], report)


def _limit_cpu(seconds: float) -> None:
    """Have the system end this process once it has computed for so long, on all cores together, where it can."""
    with contextlib.suppress(ImportError, OSError, ValueError, OverflowError):
        import resource  # Windows has no such module

        most = math.ceil(seconds)
        resource.setrlimit(
            resource.RLIMIT_CORE, (0, 0)
        )  # the signal would leave a copy of the memory on disk
        resource.setrlimit(resource.RLIMIT_CPU, (most, most + 5))


def _replace(number: int, path: str, flags: int) -> None:
    """Open a file under the number of a standard stream."""
    handle = os.open(
        path, flags | getattr(os, "O_BINARY", 0), 0o644
    )  # Windows would write line ends of its own
    if handle != number:
        os.dup2(handle, number)
        os.close(handle)


def write_all(pipe: int, data: bytes) -> None:
    """Write all of `data` to a pipe."""
    while data:
        data = data[os.write(pipe, data) :]
