"""The cores and memory this process can use, and the processes that are still running."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

MAX_PID = 2**31  # no system gives its processes higher numbers
M_ARENA_MAX, HEAPS = -8, 2  # the name is malloc.h's
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available_cores() -> int:
    """Return the cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cores_for_training() -> int:
    """Return the number of threads for a run started by a page: all cores but one, which keeps the page
    responsive."""
    return max(1, available_cores() - 1)


def available_memory() -> int:
    """Return the bytes of memory this process may use: the machine's, or its container's where that is less."""
    return min(psutil.virtual_memory().total, *_group_limits(CGROUPS, OWN_CGROUPS))


def unused_memory() -> int:
    """Return the bytes of memory that processes can still take here: the machine's, or its container's if less."""
    free = psutil.virtual_memory().available + psutil.swap_memory().free
    return max(0, min(free, *_group_rests(CGROUPS, OWN_CGROUPS)))


def _group_limits(root: Path, own: Path) -> Iterator[int]:
    """Yield the memory limits of the control groups that hold this process (Linux), and of the groups around them."""
    yield sys.maxsize
    for folder, names in _groups(root, own):
        with contextlib.suppress(OSError, ValueError):  # "max" is no limit
            yield int((folder / names[0]).read_text(encoding="ascii"))


def _group_rests(root: Path, own: Path) -> Iterator[int]:
    """Yield what each of these groups may still take. Files that were read and can be dropped leave room."""
    yield sys.maxsize
    for folder, (limit, used, droppable) in _groups(root, own):
        with contextlib.suppress(OSError, ValueError):
            most, taken = (int((folder / name).read_text(encoding="ascii")) for name in (limit, used))
            lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
            dropped = [int(line.split()[1]) for line in lines if line.split()[0] == droppable]
            yield most - taken + sum(dropped)


def _groups(root: Path, own: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Yield the groups' folders, with the files of limit and use and the count of droppable bytes in memory.stat."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "memory" if controllers else root
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        folder = top / group.strip("/")
        for level in (folder, *folder.parents):
            yield level, names if controllers else ("memory.max", "memory.current", "inactive_file")
            if level == top:
                break


def limit_memory(n_bytes: int) -> None:
    """Let this process have no more data than this from now on, where the system can hold it to that."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # Windows has no such module

        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, n_bytes))


@contextlib.contextmanager
def memory_limit(n_bytes: int) -> Iterator[None]:
    """Have allocations fail in this process while it has more data than this, where the system can hold it to that.

    What fails can be explained; where memory runs out, the system kills the process.
    """
    try:
        import resource  # Windows has no such module
    except ImportError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = n_bytes if hard == resource.RLIM_INFINITY else min(n_bytes, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def free_memory() -> int:
    """Return the bytes of data that this process may have before memory runs out, those it has among them."""
    own = psutil.Process().memory_info()
    free = psutil.virtual_memory().available + psutil.swap_memory().free
    return getattr(own, "data", own.vms) + min(free, available_memory())


def return_freed_memory() -> None:
    """Give the memory that this process has freed back to the system; does nothing where the C library is not glibc.

    What a burst of work has freed otherwise stays with the process, scattered between what is still in use.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def share_heaps() -> None:
    """Have the threads of this process share two heaps; does nothing where the C library is not glibc.

    By default each of them gets its own, up to eight a core, and what one thread has freed is of no use to the others.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, HEAPS)


def process_identity(pid: int) -> dict[str, int]:
    """Return what distinguishes a process from a later one with the same id."""
    return {"pid": pid, "born": _start_time(pid)}


def process_is_running(identity: Mapping[str, Any]) -> bool:
    """Return whether the process with this identity is still running; a zombie is not.

    An identity with anything but whole numbers, as from a damaged file, matches no process.
    """
    pid, born = identity.get("pid"), identity.get("born")
    if type(pid) is not int or type(born) is not int or not 0 < pid < MAX_PID:
        return False
    start_time = _start_time(pid)
    if sys.platform != "linux" and born == 0:  # written by a version that knew no start times there
        return start_time != 0
    return start_time == born != 0


def resident_bytes(pid: int) -> int:
    """Return the bytes of memory used by a process and its children; 0 after it has ended."""
    try:
        process = psutil.Process(pid)
        tree = [process, *process.children(recursive=True)]
    except (psutil.Error, OSError):
        return 0
    total = 0
    for member in tree:
        with contextlib.suppress(psutil.Error, OSError):  # it has ended meanwhile
            total += member.memory_info().rss
    return total


def end_process(pid: int) -> None:
    """Kill a process and everything it started: its process group, and children that left the group."""
    try:
        process = psutil.Process(pid)
        tree = [*process.children(recursive=True), process]
    except (psutil.Error, OSError):
        tree = []
    if hasattr(
        os, "killpg"
    ):  # not on Windows; a job leads a group of its own, unless it has just been forked
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    for member in tree:
        with contextlib.suppress(psutil.Error, OSError):
            member.kill()


def _start_time(pid: int) -> int:
    """Return when a process started: in clock ticks since boot on Linux, elsewhere in milliseconds since 1970.

    0 if it does not exist or has ended. Ticks since boot do not change when the clock is set.
    """
    try:
        if sys.platform == "linux":
            fields = (
                Path(f"/proc/{pid}/stat")
                .read_text(encoding="utf-8", errors="replace")
                .rpartition(")")[2]
                .split()
            )
            return 0 if fields[0] in "ZX" else int(fields[19])
        process = psutil.Process(pid)
        return 0 if process.status() == psutil.STATUS_ZOMBIE else round(1000 * process.create_time())
    except (psutil.Error, OSError):
        return 0
