"""A run that is killed at any moment goes on to the same losses and the same weights, bit for bit.

Twice by default; `GLASSBOX_KILLS=50 pytest tests/core/runs/test_survival.py -s` for as many as you like. Half of the
kills come at a random moment, half while a checkpoint is being written.
"""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from gptcore.resources import process_is_running
from gptcore.runs import queue, worker_pool
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run, delete, runs_folder

KILLS = int(os.environ.get("GLASSBOX_KILLS", "2"))
SECONDS = 120  # for one run, kills and all
SIZES = ["d_model=32", "n_heads=2", "n_layers=2", "vocab_size=300", "context_length=32", "threads=1"]
FIXED = ["batch_size=8", "precision=fp32", "attention_path=fused", "n_samples=12", "n_evals=6"]
MORE = ["dropout=0.1", "accumulation=2", "eval_batches=1"]
STEPS = 240


@pytest.fixture(scope="module")
def source(tmp_path_factory, text) -> Path:
    path = tmp_path_factory.mktemp("texts") / "animals.txt"
    path.write_text(text)
    return path


def ask(source: Path) -> Run:
    words = ["--corpus", str(source), "--steps", str(STEPS), "--seed", "5", "--set", *SIZES, *FIXED, *MORE]
    run = queue.submit(RunRequest.from_arguments(words))
    worker_pool.shared().poll(runs_folder())
    return run


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    """What a run that nobody touched comes to."""
    before = os.environ.get("GLASSBOX_RUNS")
    os.environ["GLASSBOX_RUNS"] = str(tmp_path_factory.mktemp("undisturbed"))
    started = time.monotonic()
    run = ask(source)
    while not run.is_finished():
        assert time.monotonic() - started < SECONDS, run.failure()
        time.sleep(0.02)
    result = outcome(run)
    os.environ.pop("GLASSBOX_RUNS") if before is None else os.environ.update(GLASSBOX_RUNS=before)
    return result


def outcome(run: Run) -> tuple:
    """Everything a run computed: each step and evaluation, the texts, and the weights."""
    told = {}
    for event in run.events()[0]:
        fields = ("loss", "lr", "grad_norm", "val_loss", "text")
        told[event["event"], event["step"]] = [event[name] for name in fields if name in event]
    told = {key: value for key, value in told.items() if key[0] in ("step", "eval", "sample")}
    return told, (run.folder / "latest" / "model.safetensors").read_bytes()


def writes_a_checkpoint(run: Run) -> bool:
    try:
        return any(name.startswith(".latest-") for name in os.listdir(run.folder))
    except FileNotFoundError:
        return False


def kill(run: Run, draw: random.Random, in_write: bool) -> bool:
    """Kill a run's process at some step, or as it writes a checkpoint after it; return whether it was in time."""
    now = run.last_event().get("step", 0)
    target = draw.randint(now, max(now, STEPS - STEPS // 10))
    while run.last_event().get("step", -1) < target and run.is_under_way():
        time.sleep(0.001)
    while in_write and not writes_a_checkpoint(run) and run.is_under_way():
        pass  # the write takes a few milliseconds: no time to sleep
    time.sleep(draw.uniform(0, 0.004))
    launched = run.request().get("launched") or {}
    if run.is_finished() or not process_is_running(launched):
        return False
    os.kill(launched["pid"], signal.SIGKILL)
    while process_is_running(launched):
        time.sleep(0.001)
    return not run.is_finished()


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_ends_as_if_nobody_had_touched_it(number, source, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path))
    told, weights = undisturbed
    draw, killed, began_anew = random.Random(number), 0, 0
    deadline = time.monotonic() + SECONDS
    run = ask(source)
    while not run.is_finished():
        assert time.monotonic() < deadline, (run.state(), run.failure())
        if killed < 3:
            killed += kill(run, draw, in_write=number % 2 == 1)
        if run.state() == "interrupted":
            if run.can_resume():
                queue.submit_resume(run)
                worker_pool.shared().poll(runs_folder())
            else:  # killed before its first checkpoint
                delete(run)
                run, began_anew = ask(source), began_anew + 1
        assert run.state() != "failed", run.failure()
        time.sleep(0.01)
    ours, our_weights = outcome(run)
    print(f"run {number}: killed {killed} times, began anew {began_anew} times")
    assert ours == told
    assert our_weights == weights
    assert killed > 0
