"""Choosing how to run a step: what is timed, what is remembered, and that a damaged memory harms nothing."""

import json

import pytest
import torch

from gptcore.config import ConfigError, TrainConfig
from gptcore.training import devices, remembered_plans
from gptcore.training.devices import ExecutionPlan, pick_execution_plan

OPEN = {"precision": "fp32", "threads": 1, "batch_size": 2}


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    """The file in which plans are remembered, in a folder of this test's; here no measurement counts as disturbed."""
    monkeypatch.setenv("GLASSBOX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(devices, "QUIET", 0.0)
    return tmp_path / "cache" / remembered_plans.NAME


@pytest.fixture
def pick(lively, random_ids):
    model, ids, targets = lively(), random_ids(2, 7), random_ids(2, 7, seed=1)
    return lambda **changes: pick_execution_plan(model, TrainConfig(**(OPEN | changes)), ids, targets)


def forbid_timing(monkeypatch):
    def refuse(*args):
        raise AssertionError("a plan was timed")

    monkeypatch.setattr(devices, "time_step", refuse)


def pretend(monkeypatch, seconds):
    """Have each plan take the seconds a function of precision, path and threads gives; return what was timed."""
    timed = []

    def time_step(model, config, ids, targets, *choice):
        timed.append(choice[:3])
        return seconds(*choice[:3])

    monkeypatch.setattr(devices, "time_step", time_step)
    monkeypatch.setattr(devices, "available_cores", lambda: 4)
    return timed


def test_the_fastest_of_all_paths_or_one_about_as_fast_is_picked_and_remembered(pick, monkeypatch, memory):
    chosen, trials = pick(steps=5)
    assert {trial.attention_path for trial in trials} <= {"fast", "explicit", "fused"}
    assert chosen in trials
    assert min(trial.seconds_per_step for trial in trials) >= devices.CLEARLY * chosen.seconds_per_step
    assert memory.exists()
    forbid_timing(monkeypatch)
    assert pick(steps=5) == (chosen, trials)
    with pytest.raises(AssertionError, match="was timed"):
        pick(steps=5, batch_size=4, optimizer="muon")


def test_what_leaves_no_choice_is_not_timed(pick, monkeypatch):
    forbid_timing(monkeypatch)
    assert pick(steps=5, attention_path="fused") == (ExecutionPlan("fp32", "fused", 1, 0.0), [])
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        pick(steps=5, precision="fp16")


def test_a_measurement_that_others_disturbed_is_not_remembered(pick, monkeypatch, memory):
    monkeypatch.setattr(devices, "QUIET", 1e9)
    pick(steps=5)
    assert not memory.exists()


@pytest.mark.parametrize(("explicit", "expected"), [(0.97, "fast"), (0.9, "explicit")])
def test_a_plan_must_be_clearly_faster_than_the_one_before_it(pick, monkeypatch, explicit, expected):
    pretend(monkeypatch, lambda precision, path, threads: explicit if path == "explicit" else 1.0)
    chosen, _ = pick(steps=5)
    assert chosen.attention_path == expected


def test_one_thing_changes_at_a_time(pick, monkeypatch):
    slow = {"fp32": 3.0, "fused": 2.0, 4: 2.0}
    timed = pretend(monkeypatch, lambda *choice: 1 + sum(slow.get(part, 0) for part in choice))
    chosen, _ = pick(precision="auto", threads="auto", steps=5)
    assert chosen == ExecutionPlan("bf16", "fast", 1, 1.0)
    assert timed == [
        ("bf16", "fast", 4),
        ("bf16", "fast", 1),
        ("fp32", "fast", 1),
        ("bf16", "explicit", 1),
        ("bf16", "fused", 1),
    ]


def test_when_measuring_took_long_enough_only_threads_are_tried(pick, monkeypatch):
    monkeypatch.setattr(devices, "MEASURING_SECONDS", -1.0)
    timed = pretend(monkeypatch, lambda *choice: 1.0)
    pick(precision="auto", threads="auto", steps=5)
    assert timed == [("bf16", "fast", 4), ("bf16", "fast", 1)]


def test_a_length_in_seconds_is_estimated_from_a_whole_batch(pick, monkeypatch):
    monkeypatch.setattr(devices, "TRIAL_TOKENS", 7)
    pretend(monkeypatch, lambda *choice: 1.0)
    by_rows, _ = pick(steps=5)
    assert by_rows.seconds_per_step == 2.0  # one of two rows was timed
    by_batch, _ = pick(seconds=9.0)
    assert by_batch.seconds_per_step == 1.0


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"a": 1}', b"\xff", b"[" * 10_000],
    ids=["empty", "cut", "list", "other", "bytes", "deep"],
)
def test_a_damaged_memory_is_ignored_and_written_anew(pick, memory, content):
    memory.parent.mkdir(parents=True)
    memory.write_bytes(content)
    chosen, trials = pick(steps=5)
    assert chosen in trials
    assert [chosen.to_dict(), *(trial.to_dict() for trial in trials)] in json.loads(
        memory.read_text()
    ).values()


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "fp8"},
        {"attention_path": "auto"},
        {"threads": True},
        {"threads": 0},
        {"seconds_per_step": -1.0},
        {"seconds_per_step": "1"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_remembered_plan_that_makes_no_sense_is_ignored(change):
    plan = ExecutionPlan("fp32", "fast", 1, 0.5).to_dict()
    remembered_plans.remember("this", [plan])
    assert remembered_plans.recall("this") == [plan]
    remembered_plans.remember("this", [plan, plan | change])
    assert remembered_plans.recall("this") is None


def test_the_oldest_plans_are_forgotten(monkeypatch):
    monkeypatch.setattr(remembered_plans, "MOST_PLANS", 2)
    plans = [ExecutionPlan("fp32", "fast", 1, 0.5).to_dict()]
    for name in "abac":
        remembered_plans.remember(name, plans)
    assert [name for name in "abc" if remembered_plans.recall(name)] == ["a", "c"]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, pick):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLASSBOX_CACHE", str(tmp_path / "file" / "below"))
    assert pick(steps=5)[0].attention_path in ("fast", "explicit", "fused")


@pytest.mark.parametrize("change", [{"processor": {"cpu_name": "other"}}, {"torch": "9.9"}], ids=str)
def test_another_processor_or_torch_is_another_situation(lively, monkeypatch, change):
    here = (lively().config, TrainConfig(steps=5), (2, 7), torch.device("cpu"), 1)
    before = remembered_plans.situation(*here)
    if "torch" in change:
        monkeypatch.setattr(torch, "__version__", change["torch"])
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: change["processor"])
    assert remembered_plans.situation(*here) != before
