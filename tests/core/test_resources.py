"""Cores, memory and processes as this machine reports them."""

import os
import signal
import time

import pytest

from gptcore.resources import available_cores, available_memory, process_identity, process_is_running


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


def test_a_process_number_used_again_is_another_process():
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
