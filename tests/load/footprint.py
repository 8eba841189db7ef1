"""What a server and everything it started take of a machine: memory, threads, file descriptors."""

from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Footprint:
    """Sums over processes. `pss` counts a page that n processes map as 1/n in each, in bytes."""

    processes: int
    pss: int
    threads: int
    descriptors: int
    parts: dict[str, int]  # proportional memory in bytes by kind of process


def footprint(runs: Path) -> Footprint:
    """Measure every process whose environment names this folder for runs: server, workers, runs."""
    parts: dict[str, int] = {}
    n = threads = descriptors = 0
    for process in psutil.process_iter():
        try:
            if process.environ().get("GLASSBOX_RUNS") != str(runs):
                continue
            kind = _kind(process.cmdline())
            parts[kind] = parts.get(kind, 0) + process.memory_full_info().pss
            n, threads, descriptors = n + 1, threads + process.num_threads(), descriptors + process.num_fds()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended meanwhile
    return Footprint(n, sum(parts.values()), threads, descriptors, parts)


def _kind(command: list[str]) -> str:
    line = " ".join(command)
    if "streamlit" in line:
        return "server"
    if " train " in line or " resume " in line:
        return "run"
    return line.split("-m ")[-1].split()[0] if "-m " in line else "worker"
