"""What a server and everything it started take of a machine: memory, processor time, threads, file descriptors."""

from dataclasses import dataclass
from pathlib import Path

import psutil

SERVER, POOL, JOBS = "server", "worker pool", "jobs"


@dataclass(frozen=True)
class Footprint:
    """Sums over processes. `pss` counts a page that n processes map as 1/n in each, in bytes."""

    processes: int
    pss: int
    threads: int
    descriptors: int
    parts: dict[str, int]  # proportional memory in bytes by kind of process
    cpu: dict[str, float]  # seconds of processor time by kind, of those that are still running


def footprint(runs: Path) -> Footprint:
    """Measure every process whose environment names this folder for runs: the server, its pool, their jobs."""
    parts: dict[str, int] = {}
    cpu: dict[str, float] = {}
    n = threads = descriptors = 0
    for process in psutil.process_iter():
        try:
            if process.environ().get("GLASSBOX_RUNS") != str(runs):
                continue
            kind = _kind(process)
            spent = process.cpu_times()
            parts[kind] = parts.get(kind, 0) + process.memory_full_info().pss
            cpu[kind] = cpu.get(kind, 0.0) + spent.user + spent.system
            n, threads, descriptors = n + 1, threads + process.num_threads(), descriptors + process.num_fds()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended meanwhile
    return Footprint(n, sum(parts.values()), threads, descriptors, parts, cpu)


def _kind(process: psutil.Process) -> str:
    """A job is a fork of the worker pool, or a process that the pool started."""
    if "streamlit" in " ".join(process.cmdline()):
        return SERVER
    parent = process.parent()
    return POOL if parent is not None and "streamlit" in " ".join(parent.cmdline()) else JOBS
