"""A length in seconds: the steps that fit are found in the first quarter, and the schedule ends where the run ends."""

import copy
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
from torch.optim.optimizer import register_optimizer_step_post_hook

from gptcore.config import ModelConfig, TrainConfig
from gptcore.training.evaluation import Evaluator
from gptcore.training.loop import train
from gptcore.training.optim import learning_rate, move_position, window_cuts
from gptcore.training.state import TrainingState
from gptcore.training.time_budget import TimeBudget

SECONDS = 3.0
CONFIG = TrainConfig(
    seconds=SECONDS,
    batch_size=2,
    learning_rate=0.01,
    n_evals=2,
    n_samples=1,
    eval_batches=1,
    precision="fp32",
    attention_path="fused",
    threads=1,
)
SHAPE = {"context_length": 16, "d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 24}


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """A clock that training reads instead of the machine's: each update of the weights takes 1/64 of a second."""
    clock = SimpleNamespace(now=0.0, per_step=1 / 64)

    def tick(optimizer, arguments, keywords) -> None:
        clock.now += clock.per_step

    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    hook = register_optimizer_step_post_hook(tick)
    yield clock
    hook.remove()


@pytest.fixture
def events_of(clock, corpus, tokenizer):
    """A function that trains, with the time a step takes changed at some steps; states are kept as they were."""
    model = ModelConfig(vocab_size=tokenizer.vocab_size, **SHAPE)

    def events_of(per_step: dict[int, float], config: TrainConfig = CONFIG, **options) -> list:
        seen = []
        for event in train(model, config, corpus, tokenizer, **options):
            seen.append(copy.deepcopy(event) if event.event == "checkpoint" else event)
            if event.event in ("start", "step"):
                clock.per_step = per_step.get(event.step, clock.per_step)
        return seen

    return events_of


def of(kind: str, events: list) -> list:
    return [event for event in events if event.event == kind]


def test_a_steady_machine_takes_the_steps_of_the_first_estimate(events_of):
    start, *_, done = events = events_of({})
    assert start.total_steps == 192 and of("revision", events) == []
    assert (done.reason, done.step, done.seconds) == ("steps", 192, SECONDS)


@pytest.mark.parametrize("per_step", [1 / 16, 1 / 128])
def test_a_wrong_estimate_is_revised_and_the_schedule_ends_with_the_run(events_of, per_step):
    events = events_of({0: per_step})
    done, revisions, steps = events[-1], of("revision", events), of("step", events)
    assert done.reason == "steps" and done.seconds == pytest.approx(SECONDS, rel=0.05)
    assert done.step == revisions[-1].total_steps == pytest.approx(SECONDS / per_step, rel=0.05)
    assert all(event.step <= done.step / 4 + 1 for event in revisions)
    rates = [event.lr for event in steps]
    assert rates[-1] == pytest.approx(learning_rate(done.step - 1, CONFIG, done.step), rel=0.02)
    jumps = [abs(b - a) for a, b in pairwise(rates)]
    assert (
        max(jumps[done.step // 8 :]) < 6 * CONFIG.learning_rate / done.step
    )  # a cosine of half a turn falls so


def test_after_the_first_quarter_a_small_change_of_speed_changes_nothing(events_of):
    events = events_of({60: 1.2 / 64})
    assert of("revision", events) == []
    assert (events[-1].reason, events[-1].step) == ("steps", 192)


@pytest.mark.parametrize("per_step", [1 / 16, 1 / 640])
def test_a_machine_that_changes_a_lot_still_ends_its_schedule_in_time(events_of, per_step):
    events = events_of({80: per_step})
    done = events[-1]
    assert done.reason == "steps" and done.seconds == pytest.approx(SECONDS, rel=0.25)
    final = CONFIG.min_learning_rate
    assert of("step", events)[-1].lr < final + 0.1 * (CONFIG.learning_rate - final)


def test_a_machine_that_is_far_too_slow_ends_with_the_second_step(events_of):
    events = events_of({0: SECONDS})
    assert (events[-1].reason, events[-1].step) == ("steps", 2)


def test_a_run_resumed_on_a_slower_machine_takes_the_steps_it_would_have_taken(events_of):
    whole = events_of({0: 1 / 48})
    fixed = next(event for event in of("checkpoint", whole) if event.step > 10)
    assert fixed.step <= whole[-1].step / 4 + 1 and fixed.state["revised_at"] > 0
    rest = events_of({}, resume=copy.deepcopy(fixed.state))
    slower = events_of({fixed.step + 1: 1.15 / 48}, resume=copy.deepcopy(fixed.state))
    for events in (rest, slower):
        assert [(event.step, event.loss, event.lr) for event in of("step", events)] == [
            (event.step, event.loss, event.lr) for event in of("step", whole) if event.step > fixed.step
        ]


def test_a_checkpoint_of_an_earlier_version_resumes_on_its_plain_schedule(events_of):
    config = CONFIG.replace(seconds=None, steps=12)
    whole = events_of({}, config)
    state = of("checkpoint", whole)[0].state
    for name in ("revised_at", "revised_position"):
        del state[name]
    rates = [event.lr for event in of("step", events_of({}, config, resume=state))]
    assert rates == [learning_rate(step, config, 12) for step in range(12)]


@pytest.mark.parametrize("position", [7, 49, 50, 300, 999])
@pytest.mark.parametrize("new_steps", [200, 1000, 5000])
def test_a_moved_position_has_the_same_learning_rate(position, new_steps):
    moved = move_position(position, CONFIG, 1000, new_steps)
    assert learning_rate(moved, CONFIG, new_steps) == pytest.approx(learning_rate(position, CONFIG, 1000))
    assert 0 <= moved <= new_steps


def test_the_estimate_knows_that_shorter_windows_cost_less():
    model = ModelConfig(vocab_size=64, context_length=256, d_model=16, n_layers=2, n_heads=2)
    config = CONFIG.replace(seconds=10.0, grow_windows=True)
    budget = TimeBudget(model, config, 256, evaluator=None)
    whole, growing = (
        TimeBudget(model, config.replace(grow_windows=grows), 256, evaluator=None).first_estimate(0.01)
        for grows in (False, True)
    )
    assert whole == 1000 < growing
    taken = sum(0.01 * budget.cost(window_cuts(step, config, growing)) for step in range(growing))
    assert taken == pytest.approx(10.0, rel=0.01)


def test_evaluations_and_samples_take_at_most_a_fifth_of_the_time(corpus, tokenizer):
    model = ModelConfig(vocab_size=tokenizer.vocab_size, **SHAPE)
    evaluator = Evaluator(corpus, tokenizer, [], 1.0)
    budget = TimeBudget(model, CONFIG.replace(seconds=100.0, n_samples=10), 16, evaluator)
    state = SimpleNamespace(step=10, total_steps=10, seconds=50.0)
    evaluator.sampling, evaluator.spent = 4.0, 9.0
    assert budget.is_sampled(state)  # the last one always is
    state.total_steps = 100
    samples = [step for step in range(1, 100) if _sampled(budget, state, step)]
    assert samples == []
    evaluator.spent = 5.0
    samples = [step for step in range(1, 100) if _sampled(budget, state, step)]
    assert len(samples) == 9


def _sampled(budget: TimeBudget, state: TrainingState, step: int) -> bool:
    state.step = step
    return budget.is_sampled(state)
