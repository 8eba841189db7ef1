"""What this process can use of its machine, and which processes are still running on it."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def available_cores() -> int:
    """Return the cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cores_for_training() -> int:
    """Return the threads for a run that a page starts: all cores but one, with which the page goes on answering."""
    return max(1, available_cores() - 1)


def available_memory() -> int:
    """Return the bytes of memory this process may use: the machine's, or its container's where that is less."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        memory = 8_000_000_000
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            memory = min(memory, int(Path(path).read_text()))
        except (OSError, ValueError):
            continue
    return memory


def process_identity(pid: int) -> dict[str, int]:
    """Return what tells a process from a later one with the same number."""
    return {"pid": pid, "born": _start_ticks(pid)}


def process_is_running(identity: Mapping[str, Any]) -> bool:
    """Return whether the process with this identity is still running; one that waits to be reaped is not."""
    pid = identity.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    if sys.platform == "linux":
        return _start_ticks(pid) == identity.get("born") != 0
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0 if it does not exist or has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])
