"""How long a request in the queue will wait: what the runs before it still need."""

import heapq
from pathlib import Path

from gptcore.config import ConfigError
from gptcore.runs import ray_jobs
from gptcore.runs.jobs import TRAINING
from gptcore.runs.limits import Limits
from gptcore.runs.queue import Requests, configs_of, is_pending, read_request
from gptcore.runs.run import Run, RunError, list_runs, runs_folder


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
    """Return about how many seconds until a waiting run begins; None where nobody can know yet.

    That is so where a run before it has no pace yet, and where a Ray cluster has no room or does not answer.
    """
    queue = Requests(run.folder.parent, TRAINING)
    names = [record["id"] for record in queue.waiting]
    return _wait(queue, names[: names.index(run.id)] if run.id in names else [], limits)


def expected_place(
    owner: str = "", limits: Limits | None = None, folder: Path | None = None
) -> tuple[int, float | None] | None:
    """Return the position in the queue that one more request by this owner would have, and its expected wait.

    None where it would begin at once. The wait is None where nobody can know it, as in `expected_wait`.
    """
    limits = limits or Limits.from_environment()
    queue = Requests(folder or runs_folder(), TRAINING)
    waiting = queue.waiting
    if not waiting and queue.n_running() < limits.runs_at_once:
        return None
    turn = queue.next_turn(owner)["turn"]
    ahead = [record["id"] for record in waiting if record.get("turn", 0) <= turn]
    return len(ahead) + 1, _wait(queue, ahead, limits)


def _wait(queue: Requests, ahead: list[str], limits: Limits | None) -> float | None:
    """Return when a run begins that these waiting ones precede: each takes the first slot that is free."""
    folder = queue.folder
    if ray_jobs.problem(folder) is not None or any(map(is_pending, queue.waiting)):
        return None
    slots = (limits or Limits.from_environment()).runs_at_once
    running = [seconds_left(run) for run in list_runs(folder=folder) if run.is_alive()]
    before = [seconds_left(Run(folder / name)) for name in ahead]
    if None in running or None in before:
        return None
    # Where more run than there are slots, as after a limit was lowered, the first to end free none.
    free_at = sorted([*[0.0] * (slots - len(running)), *running])[-slots:]
    for seconds in before:
        heapq.heapreplace(free_at, free_at[0] + seconds)
    return free_at[0]
