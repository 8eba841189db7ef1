"""What a server and everything it started take of a machine: memory, processor time, threads, file descriptors."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil

from gptcore.runs.jobs import MEASUREMENT, TRAINING
from gptcore.runs.queue import launched_processes

KINDS = {TRAINING: "run", MEASUREMENT: "measurement"}  # by the slots a queued job takes


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """Sums over processes. `pss` counts a page of memory that n processes map as 1/n in each, in bytes."""

    processes: int
    pss: int
    threads: int
    descriptors: int
    parts: dict[str, int]  # memory in bytes by kind of process
    counts: dict[str, int]  # processes by kind
    cpu: dict[str, float]  # seconds of processor time by kind, of those that are still running


def footprint(server_pid: int, folder: Path) -> Footprint:
    """Measure a server, what it started, and the queued jobs of its runs folder, which outlive it."""
    kinds = {}
    for kind, roots in _roots(server_pid, folder):
        for root in roots:
            kinds |= dict.fromkeys(
                _tree(root), kind
            )  # a queued job is a child of the server's supervisor, too
    parts, counts, cpu = Counter(), Counter(), Counter()
    threads = descriptors = 0
    for process, kind in kinds.items():
        try:
            with process.oneshot():
                memory, spent = process.memory_full_info(), process.cpu_times()
                parts[kind] += getattr(memory, "pss", getattr(memory, "uss", memory.rss))
                counts[kind] += 1
                cpu[kind] += spent.user + spent.system
                threads += process.num_threads()
                descriptors += process.num_fds() if hasattr(process, "num_fds") else 0
        except psutil.Error:
            continue  # it ended meanwhile
    return Footprint(
        processes=counts.total(),
        pss=parts.total(),
        threads=threads,
        descriptors=descriptors,
        parts=dict(parts),
        counts=dict(counts),
        cpu=dict(cpu),
    )


def _roots(server_pid: int, folder: Path) -> list[tuple[str, list[int]]]:
    """Return the processes that others descend from, by kind; a later kind holds for what two of them hold."""
    pools = [child for child in _children(server_pid) if _is_supervisor(child)]
    jobs = [child.pid for pool in pools for child in _children(pool.pid)]
    queued = [(KINDS[slots], [launched["pid"]]) for slots, _, launched in launched_processes(folder)]
    return [("server", [server_pid]), ("worker pool", [pool.pid for pool in pools]), ("job", jobs), *queued]


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.Error:
        return []


def _is_supervisor(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[-1:] == ["workers"]
    except psutil.Error:
        return False


def _tree(pid: int) -> list[psutil.Process]:
    """Return a process and all that descend from it; nothing where it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
