"""How long training takes to begin: seconds until the first step, from the command and from the button of a page."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import psutil
import torch

from gptcore.config import PRESETS
from gptcore.experiments.comparison import Row, Skipped, peer_model, require
from gptcore.resources import end_process
from gptcore.runs import queue
from gptcore.runs.request import RunRequest
from gptcore.runs.run import runs_folder
from gptcore.runs.worker_pool import WorkerPool

ROUNDS = 3
PATIENCE = 300.0  # seconds for one start


def startup() -> Iterator[Row]:
    """Seconds until the first step of the nano preset, beside a script that takes a step with transformers."""
    require("transformers")
    ours, peer, button = [], [], []
    for _ in range(ROUNDS):
        ours.append(_from_command())
        peer.append(_in_a_fresh_process("peer"))
        button.append(_in_a_fresh_process("button"))
    command, script, warm = map(statistics.median, (ours, peer, button))
    yield Row(
        name="first-step-from-command",
        ours=command,
        peer=script,
        ratio=script / command,
        unit="s",
        how="nano, with its text, the choice of precision and a first sample; peer: a process that imports "
        "transformers, builds the shape and takes one step on random tokens",
    )
    yield Row(
        name="first-step-from-button",
        ours=warm,
        peer=command,
        ratio=command / warm,
        unit="s",
        how="nano, from a request to worker processes that are ready; peer: from the command",
    )


def _from_command() -> float:
    """Return the seconds from `train` in a new process to its first step."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "gptcore",
            "train",
            "--seconds",
            "20",
            "--json",
            "--out",
            f"{folder}/run",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            is_step = (json.loads(line)["event"] == "step" for line in process.stdout)
            begins = any(is_step)
            seconds = time.perf_counter() - started
            end_process(process.pid)
    if not begins:
        raise Skipped("the command ended before its first step; run it to see why")
    return seconds


def _in_a_fresh_process(what: str) -> float:
    """Return the seconds that a new process of this module measures."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "gptcore.experiments.bench_startup", what],
            env=os.environ | {"GLASSBOX_RUNS": folder},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise Skipped(f"the process ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return float(done.stdout)


def from_button() -> float:
    """Return the seconds from a request to the first step of its run, with worker processes that are ready."""
    pool = WorkerPool()
    runs_folder().mkdir(parents=True, exist_ok=True)
    pool.poll(runs_folder())
    pool.preload()
    _wait_until_idle(pool.pid)
    started = time.perf_counter()
    run = queue.submit(RunRequest(seconds=20.0))
    pool.poll(runs_folder())
    try:
        _wait_until(lambda: any(event["event"] == "step" for event in run.events()[0]), 0.02)
        return time.perf_counter() - started
    finally:
        pool.close()
        end_process(run.request()["launched"]["pid"])


def one_step_of_the_peer() -> float:
    """Return the seconds from the start of this process until transformers' Llama has taken a step."""
    config = PRESETS["nano"].model
    model = peer_model(config)
    optimizer = torch.optim.AdamW(model.parameters())
    ids = torch.randint(config.vocab_size, (PRESETS["nano"].train.batch_size, config.context_length))
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    return time.time() - psutil.Process().create_time()


def _wait_until_idle(pid: int) -> None:
    """Wait until a process has computed nothing for a second, after it has begun."""
    process = psutil.Process(pid)
    before = -1.0

    def is_idle() -> bool:
        nonlocal before
        times = process.cpu_times()
        now, last = times.user + times.system, before
        before = now
        return now > 1.0 and now - last < 0.02

    _wait_until(is_idle, 1.0)


def _wait_until(holds: Callable[[], bool], every: float) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"nothing happened for {PATIENCE:g} seconds")
        time.sleep(every)


if __name__ == "__main__":
    print({"button": from_button, "peer": one_step_of_the_peer}[sys.argv[1]]())
