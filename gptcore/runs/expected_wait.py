"""How long a request in the queue will wait: what the runs before it still need."""

from gptcore.config import ConfigError
from gptcore.runs.jobs import TRAINING
from gptcore.runs.limits import Limits
from gptcore.runs.queue import Requests, configs_of, read_request
from gptcore.runs.run import Run, RunError, list_runs


def seconds_left(run: Run) -> float | None:
    """Return about how many seconds a run still needs, waiting aside; None where it has no pace yet.

    The pace is the mean of the steps so far. A run that was given seconds and has not begun needs all of them.
    """
    last, total = run.last_event(), run.config().get("found", {}).get("total_steps")
    step, seconds = last.get("step", 0), last.get("seconds", 0.0)
    if step and total:
        return max(0.0, seconds / step * (total - step))
    try:
        train = configs_of(run)[1] if run.config() else read_request(run.request()).configs()[1]
    except (ConfigError, RunError):
        return None
    return train.seconds


def expected_wait(run: Run, limits: Limits | None = None) -> float | None:
    """Return about how many seconds until a waiting run begins; None where a run before it has no pace yet."""
    limits = limits or Limits.from_environment()
    waiting = [record["id"] for record in Requests(run.folder.parent, TRAINING).waiting]
    running = [other for other in list_runs(folder=run.folder.parent) if other.is_alive()]
    ahead = waiting[: waiting.index(run.id)] if run.id in waiting else []
    left = [seconds_left(other) for other in [*running, *(Run(run.folder.parent / name) for name in ahead)]]
    return None if None in left else sum(left) / limits.runs_at_once
