"""Run a match of the arena: train its runs one after the other, and judge the results."""

from collections.abc import Iterator
from pathlib import Path

from gptcore.experiments.arena import (
    EqualArms,
    Match,
    Planned,
    Result,
    Verdict,
    check_account,
    differs_from,
    equalize,
    judge,
    last_loss,
    plan,
)
from gptcore.runs.execute import resume, start
from gptcore.runs.run import Run, RunError


class Stopped(Exception):
    """A match that was interrupted; the same command continues it."""


def run_match(
    match: Match, out: str | Path, *, corpus: str = "stories", plugin: str | None = None
) -> Iterator[EqualArms | Result | Verdict]:
    """Train every run of a match in a directory of runs; yield the arms made equal, each result, and the verdict.

    Finished runs are kept. Raises RunError if one of them belongs to another match, Stopped if a run was interrupted.
    """
    even = equalize(match)
    if plugin:
        check_account(even)
    yield even
    results = []
    for planned in plan(match, corpus, plugin):
        run = Run(Path(out) / planned.name)
        if differs_from(planned, run.config()):
            raise RunError(f"{run.folder} was trained with other settings; choose another --out")
        _finish(run, planned)
        loss = last_loss(run.events()[0])
        if loss is None:
            raise Stopped
        results.append(Result(planned.arm, planned.rate, planned.seed, loss))
        yield results[-1]
    yield judge(results, match)


def _finish(run: Run, planned: Planned) -> None:
    """Train the rest of a run; a failed run stays as it is."""
    if run.is_finished() or run.last_event().get("event") == "failed":
        return
    if run.can_resume():
        events = resume(run.folder, plugin=planned.request.plugin)
    else:
        events = start(planned.request, run.folder)
    try:
        for _ in events:
            pass
    except ValueError:
        if run.last_event().get("event") != "failed":
            raise
