"""The background computations of labs, as kinds of jobs: each takes a core for some seconds and draws a figure."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from gptcore.corpora.sources import load_corpus
from gptcore.runs import worker_pool
from gptcore.runs.jobs import BACKGROUND, MEMORY_MB, Report, job_kind
from gptcore.runs.request import RunRequest
from gptcore.stories.scores import table_scores
from gptcore.training.finetune import before_and_after
from gptcore.training.rate_finder import on_stories

SECONDS = 600.0  # each takes a small part of this; the rest is for a machine that is busy


@job_kind("table_scores", slots=BACKGROUND, seconds=SECONDS, memory_mb=MEMORY_MB)
def _table_scores(settings: Mapping[str, Any], report: Report) -> dict[str, Any]:
    found = table_scores(documents=load_corpus("stories").train)  # the worker pool has read them
    return {str(order): scores.to_dict() for order, scores in found.items()}


@job_kind("rate_finder", slots=BACKGROUND, seconds=SECONDS, memory_mb=MEMORY_MB)
def _find_rate(settings: Mapping[str, Any], report: Report) -> None:
    torch.set_num_threads(1)
    for tried in on_stories(settings["optimizer"]):
        report(asdict(tried))


@job_kind("finetune", slots=BACKGROUND, seconds=SECONDS, memory_mb=MEMORY_MB)
def _finetune(settings: Mapping[str, Any], report: Report) -> dict[str, Any]:
    torch.set_num_threads(1)
    return before_and_after(settings["steps"], report=report)


def submit_table_scores() -> worker_pool.Job:
    """Score the 3-, 5- and 7-gram tables of the stories; the result is the scores by order, which is a string."""
    return _submit("table_scores")


def submit_rate_finder(optimizer: str) -> worker_pool.Job:
    """Sweep learning rates with this optimizer; each rate tried is a report, in the fields of `SweepStep`."""
    return _submit("rate_finder", optimizer=optimizer)


def submit_finetune(steps: int) -> worker_pool.Job:
    """Tune the shipped model on answers; the loss of each step is a report, the result that of `before_and_after`."""
    return _submit("finetune", steps=steps)


def _submit(kind: str, **settings: Any) -> worker_pool.Job:
    return worker_pool.shared().submit(RunRequest(kind=kind, settings=settings))
