"""Limits follow from the machine, can be set by name, and refuse with the number and the limit."""

import math
import re

import pytest

from gptcore.account import step_bytes
from gptcore.config import PRESETS
from gptcore.runs import limits
from gptcore.runs.limits import RUN_BYTES, LimitError, Limits

GIGABYTE = 1_000_000_000


def here(environment=(), *, cores=4, memory=16 * GIGABYTE) -> Limits:
    return Limits.from_environment(dict(environment), cores=cores, memory=memory)


def test_a_hosted_app_is_never_more_generous_than_a_laptop():
    laptop, hosted = here(), here({"GLASSBOX_HOSTED": "1"})
    assert (laptop.hosted, hosted.hosted) == (False, True)
    for name in (
        "queue_per_visitor",
        "parameters",
        "seconds",
        "memory_mb",
        "disk_mb",
        "upload_mb",
        "keep_hours",
    ):
        assert getattr(hosted, name) < getattr(laptop, name), name


@pytest.mark.parametrize("memory", [GIGABYTE, 16 * GIGABYTE, 256 * GIGABYTE])
def test_what_may_run_fits_into_the_machine(memory):
    for cores in (1, 2, 8, 64):
        found = here(cores=cores, memory=memory)
        assert 1 <= found.runs_at_once <= max(1, cores // 2)
        trained = found.parameters * limits.BYTES_PER_PARAMETER
        assert trained <= memory / 2
    assert here(cores=2).runs_at_once <= here(cores=16).runs_at_once


def test_runs_that_train_at_once_in_a_hosted_machine_share_its_memory_with_the_pages():
    hosted, machine = {"GLASSBOX_HOSTED": "1"}, {"cores": 2, "memory": 24 * GIGABYTE}
    assert here(hosted, **machine).memory_mb == 12_000
    several = hosted | {"GLASSBOX_RUNS_AT_ONCE": "3"}
    assert here(several, **machine).memory_mb == 6_000
    assert (
        here(several | {limits.RAY: "http://127.0.0.1:8265"}, **machine).memory_mb == 12_000
    )  # they train elsewhere


def test_each_limit_is_set_by_its_name():
    for name in limits.names():
        if name != "GLASSBOX_HOSTED":
            changed = here({name: "7"})
            assert getattr(changed, name.removeprefix("GLASSBOX_").lower()) == 7
    assert here().keep_hours == math.inf


@pytest.mark.parametrize(
    ("name", "value"),
    [("RUNS_AT_ONCE", "0"), ("SECONDS", "-3"), ("QUEUE", "many"), ("HOSTED", "perhaps"), ("DISK_MB", "nan")],
)
def test_a_value_that_is_none_is_named(name, value):
    with pytest.raises(LimitError, match=re.escape(f"GLASSBOX_{name}={value}")):
        here({f"GLASSBOX_{name}": value})


@pytest.mark.parametrize(
    ("ask", "number", "limit"),
    [
        (lambda one: one.check_parameters(5_000_001), "5,000,001", "5,000,000"),
        (lambda one: one.check_seconds(601), "601", "600"),
        (lambda one: one.check_upload(2_100_000), "2.1 MB", "2 MB"),
        (lambda one: one.check_disk(51_000_000), "51 MB", "50 MB"),
        (lambda one: one.check_queue(9, 3), "3 of your runs", "the limit per visitor is 3"),
        (lambda one: one.check_queue(9, 0), "9 runs are waiting", "the limit is 9"),
    ],
)
def test_more_than_the_limit_is_refused_with_both_numbers(ask, number, limit):
    small = {"PARAMETERS": "5000000", "SECONDS": "600", "UPLOAD_MB": "2", "DISK_MB": "50", "QUEUE": "9"}
    tight = here({f"GLASSBOX_{k}": v for k, v in (small | {"QUEUE_PER_VISITOR": "3"}).items()})
    with pytest.raises(LimitError) as refused:
        ask(tight)
    assert number in str(refused.value) and limit in str(refused.value)


def test_what_is_just_allowed_is_allowed():
    one = here()
    one.check_parameters(one.parameters)
    one.check_seconds(one.seconds)
    one.check_seconds(None)
    one.check_queue(0, 0)


@pytest.mark.parametrize("environment", [{}, {"GLASSBOX_HOSTED": "1"}], ids=["at home", "hosted"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_layers": 4000, "d_model": 2, "n_heads": 1, "d_ff": 1}, "4,000 layers"),
        ({"n_heads": 100_000, "head_dim": 2, "d_model": 1, "d_ff": 1}, "100,000 attention heads"),
        ({"vocab_size": 20_000_000, "d_model": 1, "n_heads": 1, "head_dim": 2}, "20,000,000 tokens in the vocabulary"),
        ({"context_length": 10**7}, "10,000,000 positions of context"),
        ({"d_model": 10**7, "n_heads": 1}, r"about 10\^"),
        ({"d_ff": 10**9}, "parameters"),
        # Few parameters, and a cache of keys and values of 270 GB.
        ({"d_model": 1, "n_heads": 1, "head_dim": 2**22, "n_layers": 2, "context_length": 4096}, "memory"),
    ],
)  # fmt: skip
def test_an_absurd_model_is_refused_before_it_is_built(environment, changes, said):
    config = PRESETS["nano"].model.replace(**changes)
    allowed = here(environment | {"GLASSBOX_PARAMETERS": "100000000"})
    with pytest.raises(LimitError, match=said) as refused:
        allowed.check_model(config)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("environment", [{}, {"GLASSBOX_HOSTED": "1"}], ids=["at home", "hosted"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seconds": 10**6}, "1,000,000 seconds"),
        ({"seconds": None, "steps": 10**18}, r"about 10\^18 steps"),
        ({"accumulation": 10**9}, "tokens in one step"),
        ({"batch_size": 10**9}, "tokens in one step"),
        ({"n_evals": 10**7}, "batches for evaluation"),
        ({"eval_batches": 10**9}, "batches for evaluation"),
        ({"n_samples": 10**7}, "10,000,000 samples"),
        ({"threads": 4000}, "4,000 threads"),
    ],
)
def test_absurd_training_is_refused_before_it_begins(environment, changes, said):
    nano = PRESETS["nano"]
    with pytest.raises(LimitError, match=said):
        here(environment).check_training(nano.model, nano.train.replace(**changes))


@pytest.mark.parametrize(("environment", "batch_size"), [({}, 300_000), ({"GLASSBOX_HOSTED": "1"}, 3000)])
def test_a_step_that_no_memory_holds_is_refused(environment, batch_size):
    nano = PRESETS["nano"]
    with pytest.raises(LimitError, match="MB of memory"):
        here(environment).check_training(nano.model, nano.train.replace(batch_size=batch_size))


def test_compiling_is_for_a_machine_of_ones_own():
    nano = PRESETS["nano"]
    here().check_training(nano.model, nano.train.replace(compile=True))
    with pytest.raises(LimitError, match="compile"):
        here({"GLASSBOX_HOSTED": "1"}).check_training(nano.model, nano.train.replace(compile=True))


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_is_allowed_on_a_laptop(name):
    preset = PRESETS[name]
    here().check_model(preset.model)
    here().check_training(preset.model, preset.train)


def test_the_preset_of_the_pages_is_allowed_for_strangers():
    nano, small = PRESETS["nano"], here({"GLASSBOX_HOSTED": "1"}, cores=2, memory=2 * GIGABYTE)
    small.check_model(nano.model)
    small.check_training(nano.model, nano.train)


def test_a_run_that_the_free_memory_does_not_hold_is_refused_with_both_numbers():
    preset = PRESETS["nano"]
    step = step_bytes(preset.model, preset.train, preset.train.batch_size, preset.train.window_length or 256)
    needed = RUN_BYTES + step
    here().check_free_memory(preset.model, preset.train, needed)
    with pytest.raises(LimitError) as refused:
        here().check_free_memory(preset.model, preset.train, needed - 1_000_000)
    said = f"this run needs at least {needed // 1_000_000} MB of memory, and {needed // 1_000_000 - 1} MB are free"
    assert str(refused.value).startswith(said)
