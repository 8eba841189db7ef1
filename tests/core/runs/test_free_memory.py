"""A run begins where the free memory holds it, beside what the runs that train already will still take."""

import subprocess
import sys
import time

import pytest

from gptcore.config import PRESETS
from gptcore.files import read_json, write_json
from gptcore.resources import process_identity, unused_memory
from gptcore.runs import free_memory, queue
from gptcore.runs.limits import Limits, run_bytes
from gptcore.runs.request import RunRequest
from gptcore.runs.run import request_file, runs_folder
from gptcore.runs.worker_pool import WorkerPool
from gptcore.runs.worker_process import can_fork

NANO = PRESETS["nano"].model, PRESETS["nano"].train
SECONDS = 60  # for something that takes a few, on a machine that is busy


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    runs_folder().mkdir()
    return runs_folder()


@pytest.fixture
def unused(monkeypatch):
    """A function that sets how many bytes of memory are unused."""
    return lambda n_bytes: monkeypatch.setattr(free_memory, "unused_memory", lambda: n_bytes)


@pytest.fixture
def begun():
    """A process that has just begun, and holds next to nothing."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    yield process.pid
    process.communicate()


def test_what_a_run_that_has_just_begun_will_take_is_not_free(folder, unused, begun):
    needed = run_bytes(*NANO)
    unused(needed)
    assert free_memory.lack_of_memory(folder, *NANO) is None
    run = queue.submit(RunRequest(seconds=40))
    record = read_json(request_file(run.folder)) | {"waiting": False}
    write_json(request_file(run.folder), record | {"launched": process_identity(begun) | {"log_size": 0}})
    assert run.is_alive()
    unused(2 * needed - 50_000_000)  # what such a process holds by itself is less
    assert "needs at least" in free_memory.lack_of_memory(folder, *NANO)
    unused(2 * needed)
    assert free_memory.lack_of_memory(folder, *NANO) is None


def test_a_run_that_lacks_memory_waits_while_another_trains_and_nobody_overtakes_it(folder, begun):
    three = Limits.from_environment({"GLASSBOX_RUNS_AT_ONCE": "3"})
    first, large, small = (queue.submit(RunRequest(seconds=40, seed=seed)) for seed in range(3))
    launched, lacking = [], {large.id}

    def launch(job, log):
        launched.append(job["settings"]["folder"])
        return process_identity(begun)

    def poll():
        lack = lambda requests, record: "it is too large" if record["id"] in lacking else None  # noqa: E731
        queue.poll(folder, launch, three, lack=lack)
        return [run.state() for run in (first, large, small)]

    assert poll() == ["starting", "waiting", "waiting"]
    lacking.clear()  # memory has become free
    assert poll() == ["starting"] * 3 and launched == [str(run.folder) for run in (first, large, small)]


def test_a_request_whose_memory_nobody_can_tell_is_launched_and_keeps_nobody_waiting(folder, begun):
    """Its launch says what is wrong with it."""

    def lack(requests, record):
        raise ValueError("it has no configs")

    runs = [queue.submit(RunRequest(seconds=40, seed=seed)) for seed in range(2)]
    two = Limits.from_environment({"GLASSBOX_RUNS_AT_ONCE": "2"})
    assert len(queue.poll(folder, lambda job, log: process_identity(begun), two, lack=lack)) == 2
    assert [run.state() for run in runs] == ["starting"] * 2


@pytest.mark.skipif(not can_fork(), reason="where a GPU may train, memory is not checked")
def test_a_run_that_lacks_memory_although_nothing_trains_ends_with_the_sentence(folder):
    batch_size = 1
    while run_bytes(NANO[0], NANO[1].replace(batch_size=batch_size)) < 2 * unused_memory():
        batch_size *= 2
    run = queue.submit(RunRequest(steps=5, settings={"batch_size": batch_size}))
    pool = WorkerPool()
    try:
        pool.poll(folder)
        deadline = time.monotonic() + SECONDS
        while run.state() == "waiting":
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        pool.close()
    assert run.state() == "failed"
    assert run.failure().startswith("this run needs at least") and "are free; wait until" in run.failure()
