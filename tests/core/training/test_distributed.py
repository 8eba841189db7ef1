"""Several processes train as one: the same losses, one run on the disk, and a reason where one of them is lost."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import gptcore
from gptcore import load
from gptcore.config import ConfigError, TrainConfig
from gptcore.runs.recorder import FollowerRecorder
from gptcore.runs.run import Run
from gptcore.training.distributed import (
    SINGLE,
    DistributedLoss,
    ProcessGroup,
    is_launched,
    join_process_group,
)
from gptcore.training.events import Failed, Trained

ROOT = Path(gptcore.__file__).resolve().parent.parent
SETTINGS = [
    "d_model=32",
    "n_heads=2",
    "n_layers=2",
    "d_ff=48",
    "vocab_size=300",
    "context_length=32",
    "batch_size=8",
    "accumulation=2",
    "optimizer=adamw",
    "learning_rate=3e-3",
    "threads=1",
    "precision=fp32",
    "attention_path=fused",
    "n_evals=2",
    "n_samples=1",
    "eval_batches=2",
]
PATIENCE = 240  # seconds; several processes start, on a machine that may be busy


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def alone(*arguments) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gptcore", *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stderr


def torchrun(*arguments) -> subprocess.Popen:
    """Start two ranks as a person would."""
    launcher = ["torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, "-m", "gptcore", *map(str, arguments)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def training(file, out, steps: int, *settings: str) -> list:
    return [
        *("train", "--corpus", file, "--steps", steps, "--seed", 1, "--json"),
        *("--set", *SETTINGS, *settings, "--out", out),
    ]


def losses(folder) -> list[float]:
    return [event["loss"] for event in Run(folder).events()[0] if event["event"] == "step"]


@pytest.fixture(scope="module")
def file(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "animals.txt"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def single(file, tmp_path_factory):
    """The run of one process: 50 steps."""
    folder = tmp_path_factory.mktemp("single") / "run"
    assert alone(*training(file, folder, 50)) == (0, "")
    return folder


def wait_for_steps(folder, count: int) -> None:
    until = time.monotonic() + PATIENCE
    while len(losses(folder)) < count:
        assert time.monotonic() < until, "the run did not get going"
        time.sleep(0.02)


def rank_process(launcher: subprocess.Popen, rank: int) -> int:
    """Return the process id of one rank, a child of torchrun's own process."""
    for process in (
        Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text(encoding="utf-8").split()
    ):
        if f"RANK={rank}".encode() in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
            return int(process)
    raise AssertionError(f"there is no rank {rank}")


def test_two_ranks_train_as_one_process_would(single, file, tmp_path):
    launcher = torchrun(*training(file, tmp_path / "run", 50))
    out, err = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 0, err
    ours, theirs = losses(tmp_path / "run"), losses(single)
    assert len(ours) == 50
    assert max(abs(a - b) for a, b in zip(ours, theirs)) < 1e-4
    assert theirs[0] - theirs[-1] > 1

    events = [json.loads(line) for line in out.splitlines()]  # rank 0 alone speaks
    assert events == Run(tmp_path / "run").events()[0]
    assert [event["step"] for event in events if event["event"] == "step"] == list(range(1, 51))
    assert events[-1]["tokens"] == Run(single).last_event()["tokens"] == 50 * 2 * 8 * 32
    assert "2 processes" in " ".join(events[0]["notes"])
    (model, _), (other, _) = load(tmp_path / "run"), load(single)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, other.state_dict()[name], atol=1e-4, rtol=0)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the ranks in /proc")
@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.long)])
def test_a_killed_rank_ends_the_run_with_its_reason_and_it_resumes(file, tmp_path, rank):
    folder, steps = tmp_path / "run", 300
    launcher = torchrun(*training(file, folder, steps, "accumulation=1"))
    wait_for_steps(folder, 20)
    os.kill(rank_process(launcher, rank), signal.SIGKILL)
    launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode != 0
    run = Run(folder)
    assert run.state() == "failed"
    assert f"rank {rank} of the 2" in run.failure()
    assert run.can_resume()
    assert alone("resume", folder, "--json") == (0, "")  # one process goes on with what two began
    assert run.last_event()["reason"] == "steps"
    steps_told = [event["step"] for event in run.events()[0] if event["event"] == "step"]
    assert steps_told == list(range(1, steps + 1))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the ranks in /proc")
def test_a_signal_to_one_rank_stops_both_and_two_go_on(single, file, tmp_path):
    folder, steps = tmp_path / "run", 500
    launcher = torchrun(*training(file, folder, steps, "dropout=0.1"))
    wait_for_steps(folder, 5)
    os.kill(rank_process(launcher, 1), signal.SIGTERM)
    _, err = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 0, err
    run = Run(folder)
    assert run.last_event()["reason"] == "stopped"
    assert 5 <= run.last_event()["step"] < steps

    launcher = torchrun("resume", folder)
    wait_for_steps(folder, run.last_event()["step"] + 5)
    launcher.send_signal(signal.SIGTERM)  # torchrun passes it on to both
    launcher.communicate(timeout=PATIENCE)
    assert run.last_event()["reason"] == "stopped"
    told = [event["step"] for event in run.events()[0] if event["event"] == "step"]
    assert told == list(range(1, run.last_event()["step"] + 1))


# What a process group does, without starting one


def test_without_torchrun_a_process_is_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    assert not is_launched() and join_process_group() is SINGLE and SINGLE.leads
    assert SINGLE.any_rank(True, False) == (True, False)
    assert SINGLE.broadcast("x") == "x" and SINGLE.notes(TrainConfig(steps=1)) == []
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    assert join_process_group() is SINGLE


def test_ranks_part_a_batch_between_them():
    batch = torch.arange(24).view(12, 2)
    for size in (1, 2, 3, 12):
        parts = [ProcessGroup(rank=rank, size=size).rows(batch) for rank in range(size)]
        assert torch.equal(torch.cat(parts), batch)
    ProcessGroup(size=3).check(TrainConfig(steps=1, batch_size=12))
    with pytest.raises(ConfigError, match="batch_size=13 must be divisible by the 3"):
        ProcessGroup(size=3).check(TrainConfig(steps=1, batch_size=13))


def test_ranks_draw_noise_apart_and_the_same_again():
    def noise(rank: int, step: int, size: int = 2) -> float:
        ProcessGroup(rank=rank, size=size).seed_rank(seed=5, step=step)
        return float(torch.rand(()))

    drawn = {(rank, step): noise(rank, step) for rank in range(2) for step in range(3)}
    assert len(set(drawn.values())) == 6
    assert noise(1, 2) == drawn[1, 2]
    torch.manual_seed(0)
    before = torch.get_rng_state()
    SINGLE.seed_rank(seed=5, step=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_gradients_are_averaged_once_a_step_however_many_batches_add_up(lively, random_ids):
    """A group of one that says it is two: the same path, and nobody to wait for."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        model = lively()
        loss = DistributedLoss(model, ProcessGroup(size=2, device=torch.device("cpu")))
        averaged = []

        def count(_, bucket):
            averaged.append(bucket.is_last())
            done = torch.futures.Future()
            done.set_result(bucket.buffer())
            return done

        loss._loss.register_comm_hook(None, count)
        for turn in range(4):
            with loss.accumulate(last=turn == 3):
                loss(random_ids(2, 8, seed=turn), random_ids(2, 8), path="fused").backward()
            assert bool(averaged) == (turn == 3)
        assert averaged.count(True) == 1
        gradient = model.embedding.weight.grad.clone()
    finally:
        torch.distributed.destroy_process_group()
    model.zero_grad()
    for turn in range(4):
        model.loss(random_ids(2, 8, seed=turn), random_ids(2, 8)).backward()
    torch.testing.assert_close(gradient, model.embedding.weight.grad)


def step(number: int) -> Trained:
    return Trained(
        step=number, tokens=number, seconds=1.0, loss=1.0, lr=1.0, grad_norm=1.0, tokens_per_second=1.0
    )


def lost_after(count: int, error: Exception):
    yield from map(step, range(1, count + 1))
    raise error


def test_only_a_lost_connection_becomes_a_failed_run():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = (7, os.getpid())
    group = ProcessGroup(rank=0, size=2, members=(here, (7, gone.pid)))
    *_, last = group.guard_events(lost_after(3, RuntimeError("Connection closed by peer [127.0.0.1]:1")))
    assert isinstance(last, Failed) and last.resumes
    assert (last.step, last.reason[:6]) == (3, "rank 1")
    elsewhere = ProcessGroup(rank=0, size=2, members=(here, (8, gone.pid)))
    *_, last = elsewhere.guard_events(lost_after(1, RuntimeError("Connection reset by peer")))
    assert last.reason.startswith("another rank")
    for group_, error in (
        (group, RuntimeError("shapes differ")),
        (SINGLE, RuntimeError("Connection closed by peer")),
    ):
        with pytest.raises(RuntimeError):
            list(group_.guard_events(lost_after(1, error)))


def test_a_follower_writes_the_reason_only_where_nobody_else_can(tmp_path):
    from filelock import FileLock

    log = tmp_path / "events.jsonl"
    log.write_text(step(1).to_json() + "\n" + step(2).to_json()[:20])  # killed in the middle of a line
    failed = Failed(step=2, tokens=2, seconds=1.0, reason="rank 0 ended", resumes=True)
    with FileLock(tmp_path / "lock"):
        list(FollowerRecorder(tmp_path).record([failed]))
    assert Run(tmp_path).last_event()["event"] == "step"
    list(FollowerRecorder(tmp_path).record([step(3), failed]))
    list(FollowerRecorder(tmp_path).record([failed]))
    assert [event["event"] for event in Run(tmp_path).events()[0]] == ["step", "failed"]
