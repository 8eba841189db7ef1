"""Cores, memory and processes as this machine reports them."""

import math
import os
import platform
import signal
import subprocess
import sys
import time

import psutil
import pytest

from gptcore import resources
from gptcore.resources import (
    available_cores,
    available_memory,
    end_process,
    process_identity,
    process_is_running,
    resident_bytes,
    return_freed_memory,
    unused_memory,
)


def test_a_machine_has_cores_and_memory():
    assert available_cores() >= 1 and available_memory() > 10_000_000


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process to cores")
def test_only_the_cores_this_process_may_use_are_counted():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no process")
@pytest.mark.parametrize("system", [sys.platform, "darwin", "win32"])
def test_a_process_number_used_again_is_another_process(system, monkeypatch):
    monkeypatch.setattr(resources.sys, "platform", system)
    here = process_identity(os.getpid())
    assert process_is_running(here)
    if here["born"]:
        assert not process_is_running(here | {"born": here["born"] + 1})
    child = os.fork()
    if child == 0:
        signal.pause()
    identity = process_identity(child)
    assert process_is_running(identity)
    os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while process_is_running(identity) and time.monotonic() < deadline:
        time.sleep(0.01)
    dead = not process_is_running(identity)  # before it is buried, too
    os.waitpid(child, 0)
    assert dead


@pytest.mark.parametrize("system", [sys.platform, "darwin", "win32"])
def test_whether_a_process_runs_is_found_out_without_a_signal_to_it(system, monkeypatch):
    """On Windows `os.kill(pid, 0)` sends Ctrl-C."""
    monkeypatch.setattr(resources.sys, "platform", system)
    monkeypatch.setattr(resources.os, "kill", lambda *_: pytest.fail("a signal was sent"))
    assert process_is_running(process_identity(os.getpid()))
    assert not process_is_running(process_identity(2**22 + 1))


def test_an_identity_of_an_earlier_version_without_a_start_time_is_read(monkeypatch):
    assert not process_is_running({"pid": os.getpid(), "born": 0})  # on Linux they had one
    monkeypatch.setattr(resources.sys, "platform", "darwin")
    assert process_is_running({"pid": os.getpid(), "born": 0})
    assert not process_is_running({"pid": 2**22 + 1, "born": 0})


@pytest.mark.parametrize("system", [sys.platform, "darwin"])
@pytest.mark.parametrize("pid", [-1, 0, True, 2**31, 10**400, 1.0, math.nan, "1", None, [1]])
def test_an_identity_from_a_damaged_file_is_no_process(pid, system, monkeypatch):
    monkeypatch.setattr(resources.sys, "platform", system)
    assert not process_is_running({"pid": pid, "born": 1})
    born = pid or None  # an identity of an earlier version has 0
    assert not process_is_running({"pid": os.getpid(), "born": born})


def test_a_process_ends_with_all_it_has_started():
    """Also a grandchild that leads a session of its own, as a job's may."""
    code = (
        "import subprocess, sys; subprocess.Popen(['sleep', '600'], start_new_session=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, start_new_session=True)
    process = psutil.Process(child.pid)
    deadline = time.monotonic() + 60
    while not (started := process.children()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    grandchild = process_identity(started[0].pid)
    assert resident_bytes(child.pid) > resident_bytes(grandchild["pid"]) > 0
    end_process(child.pid)
    child.wait()
    child.stdin.close()
    assert resident_bytes(child.pid) == 0
    while process_is_running(grandchild):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/jobs/one\n", {"jobs/memory.max": "3000000000", "jobs/one/memory.max": "max"}),
        ("0::/\n", {"memory.max": "3000000000"}),
        (
            "4:memory:/jobs/one\n3:cpuset:/\n0::/\n",
            {
                "memory/jobs/one/memory.limit_in_bytes": "3000000000",
                "memory/memory.limit_in_bytes": f"{2**63}",
            },
        ),
        ("5:cpu,memory:/away\n", {"memory/memory.limit_in_bytes": "3000000000"}),
    ],
)
def test_memory_is_what_the_containers_around_this_process_leave(own, files, tmp_path, monkeypatch):
    for name, limit in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(limit + "\n")
    (tmp_path / "own").write_text(own)
    monkeypatch.setattr(resources, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(resources, "OWN_CGROUPS", tmp_path / "own")
    assert available_memory() == 3_000_000_000


@pytest.mark.parametrize(
    ("own", "names", "droppable"),
    [
        ("0::/jobs/one\n", ("memory.max", "memory.current"), "inactive_file"),
        ("4:memory:/jobs/one\n", ("memory.limit_in_bytes", "memory.usage_in_bytes"), "total_inactive_file"),
    ],
)
def test_unused_memory_is_what_the_tightest_container_has_left(own, names, droppable, tmp_path, monkeypatch):
    top = tmp_path / "groups" / ("memory" if "memory:" in own else "")
    for group, limit, used in (("jobs", 9_000_000, 1_000_000), ("jobs/one", 3_000_000, 2_500_000)):
        (top / group).mkdir(parents=True)
        for name, value in zip(names, (limit, used), strict=True):
            (top / group / name).write_text(f"{value}\n")
        (top / group / "memory.stat").write_text(f"anon 7\n{droppable} 100000\nactive_file 9\n")
    (tmp_path / "own").write_text(own)
    monkeypatch.setattr(resources, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(resources, "OWN_CGROUPS", tmp_path / "own")
    assert unused_memory() == 600_000
    (top / "jobs/one" / names[0]).write_text("1000000\n")  # lowered below what is taken
    assert unused_memory() == 0


def test_unused_memory_of_this_machine_is_less_than_all_of_it():
    assert 0 < unused_memory() < available_memory() + psutil.swap_memory().total


BEYOND_THE_LIMIT = """
import psutil
from gptcore.resources import free_memory, memory_limit
data = psutil.Process().memory_info().data
assert free_memory() > data
try:
    with memory_limit(data + 200_000_000):
        bytearray(400_000_000)
except MemoryError:
    print("refused")
print(len(bytearray(400_000_000)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its data")
def test_beyond_the_limit_allocations_fail_and_afterwards_they_do_not():
    """In a process of its own: what this one frees meanwhile would count as room."""
    command = [sys.executable, "-c", BEYOND_THE_LIMIT]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["refused", "400000000"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such call")
def test_freed_memory_goes_back_to_the_system():
    blocks = [
        b"x" * 100_000 for _ in range(2_000)
    ]  # each small enough for the heap, whose top the last one holds
    del blocks[:-1]
    before = resident_bytes(os.getpid())
    return_freed_memory()
    assert before - resident_bytes(os.getpid()) > 100_000_000


_HEAPS = """
import ctypes, threading
from gptcore.resources import share_heaps

{call}
libc, ready = ctypes.CDLL(None), threading.Barrier(9)

def allocate():
    kept = [b"x" * 100_000 for _ in range(10)]
    ready.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
ready.wait()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such call")
def test_eight_threads_share_two_heaps():
    n_heaps = [
        subprocess.run(
            [sys.executable, "-c", _HEAPS.format(call=call)], capture_output=True, text=True, check=True
        ).stdout.count("<heap nr=")
        for call in ("", "share_heaps()")
    ]
    assert n_heaps[0] > 2 == n_heaps[1]
