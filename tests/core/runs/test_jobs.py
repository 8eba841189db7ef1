"""Kinds of jobs: what is registered runs, and nothing else."""

import pytest

from gptcore.experiments import claims
from gptcore.resources import available_cores
from gptcore.runs import jobs
from gptcore.runs.jobs import JobError, error_sentence, find_kind, job_kind, last_error, n_slots
from tests.core.runs import sample_jobs

HERE = sample_jobs.__name__


def test_a_module_registers_its_kinds_and_a_message_names_both():
    kind = find_kind("greedy", HERE)
    assert (kind.slots, kind.memory_mb, kind.outlives_server) == ("interactive", 3_000, False)
    assert kind.work({"bytes": 3}, None) == 3


@pytest.mark.parametrize(
    ("name", "module", "says"),
    [
        ("product", "gptcore.nowhere", "cannot be imported: No module named 'gptcore.nowhere'"),
        (
            "product",
            "gptcore.files",
            "gptcore.files does not register the kind of job 'product'",
        ),  # another's kind
        ("_hold", HERE, "does not register the kind of job '_hold'"),  # a function, and no kind
        ("system", "os", "os does not register the kind of job 'system'"),
        ("broken", "tests.core.runs.broken_jobs", "cannot be imported: 3 heads do not fit"),
    ],
)
def test_what_is_not_registered_there_does_not_run(name, module, says):
    with pytest.raises(JobError, match=says):
        find_kind(name, module)


def test_two_modules_cannot_register_one_name():
    with pytest.raises(ValueError, match="both register the kind of job 'double'"):
        job_kind("double", slots=jobs.INTERACTIVE)(lambda settings, report: None)


def test_the_kinds_that_wait_on_disk_are_where_the_table_says():
    for name, module in jobs.QUEUED_KINDS.items():
        assert find_kind(name, jobs.queued_kind_module(name)).module == module
    with pytest.raises(JobError, match="the kind of job 'double' cannot be stored in the queue"):
        jobs.queued_kind_module("double")
    assert find_kind("claim", jobs.QUEUED_KINDS["claim"]).seconds == claims.SECONDS


def test_slots_follow_from_the_machine_and_the_limits():
    assert n_slots("training", 5) == 5 and n_slots("measurement", 5) == 1
    assert n_slots("interactive") == available_cores()
    assert n_slots("background") == max(1, available_cores() // 2)
    with pytest.raises(ValueError, match="no slots 'other'"):
        n_slots("other")


def test_an_error_is_one_sentence(tmp_path):
    assert error_sentence(ValueError("three heads do not\nfit")) == "three heads do not fit"
    assert error_sentence(KeyError()) == "KeyError"
    assert error_sentence(MemoryError()) == "it needed more memory than a job may use"
    full = OSError(28, "No space left on device", "/runs/a")
    assert error_sentence(full).startswith("No space left on device (/runs/a); free some space")
    log = tmp_path / "log"
    assert last_error(log) is None
    log.write_text("warning\nerror: first\nerror: last\n\n\n")
    assert last_error(log) == "last"
