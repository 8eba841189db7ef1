"""What a host sees: the queued jobs with their owners, and the memory of the processes that do them."""

import os
from pathlib import Path

import psutil
import pytest
import run_logs
from filelock import FileLock

from gptcore.files import write_json
from gptcore.resources import process_identity
from gptcore.runs import queue
from gptcore.runs.activity import list_activity
from gptcore.runs.footprint import footprint
from gptcore.runs.limits import Limits
from gptcore.runs.request import RunRequest
from gptcore.runs.run import FORMAT, Run, request_file

FOUND = {"device": "cpu", "precision": "fp32", "attention_path": "fused", "threads": 1}
ONE = Limits.from_environment({"GLASSBOX_RUNS_AT_ONCE": "1"}, cores=4, memory=16_000_000_000)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def submit(seed: int, owner: str) -> Run:
    return queue.submit(RunRequest(seconds=40, seed=seed), owner=owner * 32, limits=ONE)


def launch_next(folder: Path) -> None:
    """Launch the next request; its process is this one, which is alive for as long as the test."""
    assert queue.poll(folder, lambda job, log: process_identity(os.getpid()), ONE)


def test_running_jobs_come_first_and_waiting_ones_in_their_order(folder):
    first, second, third = submit(1, "a"), submit(2, "a"), submit(3, "b")
    assert submit(3, "c") == third
    launch_next(folder)
    first.folder.mkdir()
    run_logs.write(first.folder, [run_logs.start(50), run_logs.trained(20, 3.0)])
    write_json(first.folder / "config.json", {"format": FORMAT, "found": FOUND | {"total_steps": 50}})
    with FileLock(first.folder / "lock"):
        seen = list_activity(folder)
    assert [(job.id, job.position) for job in seen] == [(first.id, None), (third.id, 1), (second.id, 2)]
    assert [(job.owner, job.n_owners) for job in seen] == [("a" * 8, 1), ("b" * 8, 2), ("a" * 8, 1)]
    running, waiting = seen[0], seen[1]
    assert (running.kind, running.step, running.total_steps) == ("train", 20, 50)
    assert running.memory >= psutil.Process().memory_info().rss / 2 and running.seconds > 0
    assert (waiting.memory, waiting.seconds, waiting.step) == (None, None, None)


def test_claims_and_runs_of_a_command_line_are_jobs_too(folder):
    request = RunRequest(kind="claim", settings={"name": "some_claim"})
    queue.submit_named({"some_claim": request}, slots="measurement", owner="a" * 32)
    run = Run(folder / "by_hand")
    run.folder.mkdir(parents=True)
    with FileLock(run.folder / "lock"):
        seen = list_activity(folder)
    assert [(job.id, job.kind, job.owner, job.position) for job in seen] == [
        ("by_hand", "train", None, None),
        ("some_claim", "claim", "a" * 8, 1),
    ]


def test_a_footprint_counts_each_process_once_under_its_kind(folder):
    run = submit(1, "a")
    launch_next(folder)
    taken = footprint(os.getpid(), folder)
    assert taken.counts["run"] >= 1 and "server" not in taken.counts  # this process is both here
    assert taken.pss == sum(taken.parts.values()) > 10_000_000
    assert taken.processes == sum(taken.counts.values()) and taken.threads >= taken.processes
    write_json(request_file(run.folder), run.request() | {"launched": process_identity(2**30)})
    assert "server" in (left := footprint(os.getpid(), folder).parts) and "run" not in left
