"""The computations of labs, each in a worker."""

import time

import pytest

from gptcore.runs import lab_jobs
from gptcore.runs.jobs import JobError, registered_kind
from gptcore.training.rate_finder import N_STEPS, SweepStep, on_stories

SECONDS = 120


def test_a_sweep_reports_each_rate_it_has_tried_and_can_be_stopped():
    job = lab_jobs.submit_rate_finder("adamw")
    assert lab_jobs.submit_rate_finder("adamw") is job  # one for all visitors
    deadline = time.monotonic() + SECONDS
    while len(job.reports) < 3:
        assert time.monotonic() < deadline and not job.is_done()
        time.sleep(0.01)
    job.cancel()
    with pytest.raises(JobError, match="it was canceled"):
        job.result()
    tried = [SweepStep(**report) for report in job.reports]
    assert len(tried) < N_STEPS
    steps = on_stories("adamw")
    assert [(step.rate, pytest.approx(step.loss, rel=1e-4)) for step in tried[:3]] == [
        (step.rate, step.loss) for step in (next(steps) for _ in range(3))
    ]


def test_a_tuning_gives_what_it_changed():
    result = lab_jobs.submit_finetune(2).result()
    assert len(result["losses"]) == 2 and len(result["before"]) == len(result["after"]) == 3


def test_every_computation_of_a_lab_leaves_the_interactive_slots_alone():
    for name in ("table_scores", "rate_finder", "finetune"):
        kind = registered_kind(name)
        assert kind.slots == "background" and not kind.outlives_server
        assert kind.seconds and kind.memory_mb and kind.niceness > 0
