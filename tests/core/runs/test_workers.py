"""The nursery: jobs forked from one warm process, which give what the command gives."""

import json
import os
import time

import pytest

from gptcore.runs import queue, workers
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run, runs_folder
from gptcore.runs.workers import JobError, Nursery

SIZES = ["d_model=16", "n_heads=2", "n_layers=1", "vocab_size=280", "context_length=16", "threads=1"]
FIXED = ["batch_size=2", "precision=fp32", "attention_path=fused", "n_samples=1", "n_evals=1", "dropout=0.1"]


def double(payload):
    return {"twice": 2 * payload["n"], "nice": os.nice(0), "torch": "torch" in __import__("sys").modules}


def complain(payload):
    raise ValueError("three heads do not\nfit")


def die(payload):
    os.kill(os.getpid(), 9)


def sleep(payload):
    time.sleep(60)


def chatter(payload):
    print("words" * 1000)
    return "heard"


def settings(payload):
    return {name: value for name, value in os.environ.items() if name.startswith("GLASSBOX_")}


def product(payload):
    import torch

    numbers = torch.arange(float(payload)).reshape(-1, 64)
    return (numbers.T @ numbers).sum().item()


@pytest.fixture(scope="module")
def warm():
    workers = Nursery()
    yield workers
    workers.close()


@pytest.fixture(params=["fork", "command"])
def either(request, warm, monkeypatch):
    """The nursery that forks, and the one of a machine where that is not safe."""
    if request.param == "fork":
        if not workers.can_fork():
            pytest.skip("forking is not safe here")
        return warm
    return OneByOne()


class OneByOne:
    """What the nursery does where it may not fork: each job a process of its own."""

    def run(self, function, payload=None, *, seconds):
        _, pipe = workers.start_job({"function": function, "payload": payload, "seconds": seconds})
        with os.fdopen(pipe, "rb") as answer:
            found = json.loads(answer.read())
        if "error" in found:
            raise JobError(found["error"])
        return found["result"]


HERE = "tests.core.runs.test_workers"


@pytest.fixture(autouse=True)
def importable(monkeypatch, request):
    root = str(request.config.rootpath)
    monkeypatch.setenv("PYTHONPATH", root)


def test_a_job_gives_its_result_and_runs_at_a_lower_priority(either):
    found = either.run(f"{HERE}:double", {"n": 21}, seconds=30)
    assert found["twice"] == 42
    assert isinstance(either, OneByOne) or found["nice"] == os.nice(0) + workers.PRIORITY


def test_what_a_job_prints_is_not_its_result(either):
    assert either.run(f"{HERE}:chatter", seconds=30) == "heard"


def test_a_job_that_raises_says_so_in_one_sentence(either):
    with pytest.raises(JobError, match=r"^three heads do not fit$"):
        either.run(f"{HERE}:complain", seconds=30)
    with pytest.raises(JobError, match="nowhere"):
        either.run("gptcore.nowhere:f", seconds=30)


def test_a_job_that_takes_too_long_is_ended_and_the_next_one_is_not_late(warm):
    started = time.monotonic()
    with pytest.raises(JobError, match=r"more than 0\.3 seconds"):
        warm.run(f"{HERE}:sleep", seconds=0.3)
    assert warm.run(f"{HERE}:double", {"n": 1}, seconds=30)["twice"] == 2
    assert time.monotonic() - started < 20


def test_a_job_that_is_killed_is_told(warm):
    with pytest.raises(JobError, match="killed"):
        warm.run(f"{HERE}:die", seconds=30)


def test_a_job_sees_the_settings_of_now_and_computes_the_same_as_here(warm, monkeypatch):
    monkeypatch.setenv("GLASSBOX_QUEUE", "12")
    assert warm.run(f"{HERE}:settings", seconds=30)["GLASSBOX_QUEUE"] == "12"
    monkeypatch.delenv("GLASSBOX_QUEUE")
    assert "GLASSBOX_QUEUE" not in warm.run(f"{HERE}:settings", seconds=30)
    assert warm.run(f"{HERE}:product", 6400, seconds=30) == product(6400)


def test_a_nursery_that_died_is_started_again(warm):
    warm.start()
    warm._process.kill()
    warm._process.wait()
    assert warm.run(f"{HERE}:double", {"n": 3}, seconds=30)["twice"] == 6


def ended(run: Run, seconds: float = 60.0) -> str:
    deadline = time.monotonic() + seconds
    while (state := run.state()) in ("waiting", "starting", "running"):
        assert time.monotonic() < deadline, f"still {state}"
        time.sleep(0.05)
    return state


def told(run: Run) -> list[dict]:
    """What a run logged, less what differs from one time to the next."""
    timed = ("seconds", "tokens_per_second", "path", "measured")
    return [{k: v for k, v in event.items() if k not in timed} for event in run.events()[0]]


def test_a_forked_run_and_the_command_give_the_same_numbers(warm, tmp_path, monkeypatch, text):
    (tmp_path / "animals.txt").write_text(text)
    words = ["--corpus", str(tmp_path / "animals.txt"), "--steps", "25", "--set", *SIZES, *FIXED]
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "forked"))
    forked = queue.submit(RunRequest.from_arguments(words))
    assert forked.state() == "waiting"
    warm.tend(runs_folder())
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "command"))
    command = queue.submit(RunRequest.from_arguments(words))
    queue.poll(runs_folder(), workers.launch_command)
    assert (ended(forked), ended(command)) == ("done", "done"), (forked.failure(), command.failure())
    assert told(forked) == told(command)
    weights = [run.folder / "latest" / "model.safetensors" for run in (forked, command)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_run_outlives_the_nursery_it_was_forked_from(tmp_path, monkeypatch, text):
    (tmp_path / "animals.txt").write_text(text)
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    words = ["--corpus", str(tmp_path / "animals.txt"), "--steps", "1000000", "--set", *SIZES, *FIXED]
    run = queue.submit(RunRequest.from_arguments(words))
    short = Nursery()
    short.tend(runs_folder())
    deadline = time.monotonic() + 60
    while not any(event["event"] == "step" for event in run.events()[0]):
        assert time.monotonic() < deadline, run.failure()
        time.sleep(0.05)
    short.close()
    before = run.last_event()["step"]
    time.sleep(0.5)
    assert run.state() == "running" and run.last_event()["step"] > before
    run.stop()
    assert ended(run) == "done"
    assert run.last_event()["reason"] == "stopped"
