"""A length given in seconds, turned into steps while the run finds out how fast it is.

The learning rate follows a schedule over a known number of steps. So a run that was given seconds begins with an
estimate of its steps and revises it at steps 1, 2, 4, 8 and so on of its first quarter, from the pace of its own steps.
Then the number is fixed, and a run that is resumed reaches the losses of one that was never paused. It changes after
that only where the machine has become so much faster or slower that the run would miss its time by more than a quarter.
"""

from collections import deque

from gptcore.account import forward_flops
from gptcore.config import ModelConfig, TrainConfig
from gptcore.training.evaluation import Evaluator, eval_steps
from gptcore.training.interruption import OVERRUN
from gptcore.training.optim import move_position, window_cuts
from gptcore.training.state import TrainingState

FIXED_AT = 1 / 4  # of the planned steps: the last point at which their number is revised in any case
CHECK_AT = tuple(number / 16 for number in range(5, 16))
EVALUATION_FRACTION = 0.2  # of the seconds, for evaluations and samples together
AVERAGED_STEPS = 256
CHECKPOINT_SECONDS = 10.0  # a killed run loses at most this much


class TimeBudget:
    """How many steps a run can take in its seconds; a run that was given steps keeps those."""

    def __init__(self, model_config: ModelConfig, config: TrainConfig, window: int, evaluator: Evaluator):
        self.config, self.evaluator = config, evaluator
        self.checkpointing = 0.0  # seconds that the last checkpoint took
        self._flops = {
            cuts: sum(forward_flops(model_config, max(1, window // cuts), cuts).values())
            for cuts in (1, 2, 4)
        }
        self._recent: deque[tuple[float, float]] = deque(maxlen=AVERAGED_STEPS)  # seconds and cost of a step
        self._n_counted = 0

    def first_estimate(self, seconds_per_step: float) -> int:
        """Return the steps of a run whose micro-batches of whole windows take `seconds_per_step`."""
        if self.config.steps is not None:
            return self.config.steps
        total = 1
        for _ in range(6):  # the windows of a longer run grow later
            pace = seconds_per_step * self.config.accumulation * self._mean_cost(0.0, total)
            total = max(1, int(self.config.seconds / pace))
        return total

    def cost(self, cuts: int) -> float:
        """Return the FLOPs of a step whose windows are cut into this many parts, relative to whole windows.

        Windows that are cut need less attention.
        """
        return self._flops[cuts] / self._flops[1]

    def count_step(self, seconds: float, cuts: int) -> None:
        """Note what a step took whose windows were cut into this many parts."""
        self._n_counted += 1
        if self._n_counted == 2:
            self._recent.clear()  # the first step says little
        self._recent.append((seconds, self.cost(cuts)))

    def revised_steps(self, state: TrainingState) -> int | None:
        """Return the steps that the run is to have from now on, None where its plan stays.

        Every rank calls this after each step; the first one decides.
        """
        step, total = state.step, state.total_steps
        is_early = is_at((FIXED_AT,), step, total) or (step < FIXED_AT * total and step.bit_count() == 1)
        if self.config.seconds is None or step >= total or not (is_early or is_at(CHECK_AT, step, total)):
            return None
        revised = state.group.broadcast(self._revised(state, not is_early))
        return None if revised == total else revised

    def is_fixed_with(self, state: TrainingState) -> bool:
        """Return whether this step is the last at which the number of steps is revised in any case."""
        return self.config.seconds is not None and is_at((FIXED_AT,), state.step, state.total_steps)

    def is_evaluated(self, state: TrainingState) -> bool:
        """Return whether the model is to be evaluated after this step."""
        return self._is_due(state, self.config.n_evals, self.evaluator.evaluating)

    def is_sampled(self, state: TrainingState) -> bool:
        """Return whether the model is to be sampled from after this step."""
        return self._is_due(state, self.config.n_samples, self.evaluator.sampling)

    def _is_due(self, state: TrainingState, count: int, seconds: float) -> bool:
        """Return whether this is one of `count` steps, and there is time for what takes so many `seconds`.

        In the first quarter of a run as much may be spent as in a quarter; for what is due last there is always time.
        """
        if state.step not in eval_steps(count, state.total_steps):
            return False
        if self.config.seconds is None or state.step == state.total_steps:
            return True
        passed = max(state.seconds, self.config.seconds / 4)
        return self.evaluator.spent + seconds <= EVALUATION_FRACTION * passed

    def _revised(self, state: TrainingState, is_fixed: bool) -> int:
        left = self.config.seconds - state.seconds - self._reserved(state)
        total = state.total_steps
        if state.step == 1 and state.seconds < self.config.seconds / len(CHECK_AT):
            return total  # the first step of a process is a slow one
        n_recent = max(4, total // len(CHECK_AT)) if is_fixed else AVERAGED_STEPS
        seconds, cost = map(sum, zip(*list(self._recent)[-n_recent:]))

        pace = max(seconds / cost, 1e-9)
        if is_fixed:
            missed = left - (total - state.step) * pace * self._cost_ahead(state, total)
            if abs(missed) <= (OVERRUN - 1) * self.config.seconds:
                return total
        for _ in range(4):  # what a step costs depends on how many there are
            total = state.step + max(1, int(left / (pace * self._cost_ahead(state, total))))
        return total

    def _cost_ahead(self, state: TrainingState, total_steps: int) -> float:
        """Return the mean cost of the steps still to come in a run of so many."""
        position = move_position(state.position, self.config, state.total_steps, total_steps)
        return self._mean_cost(position, total_steps)

    def _mean_cost(self, position: float, total_steps: int, n_points: int = 200) -> float:
        """Return the mean cost of a step from a position of a schedule to its end."""
        points = (position + (i + 0.5) / n_points * (total_steps - position) for i in range(n_points))
        return sum(self.cost(window_cuts(point, self.config, total_steps)) for point in points) / n_points

    def _reserved(self, state: TrainingState) -> float:
        """Return the seconds to keep for what is not a step: evaluations, samples and checkpoints."""
        evaluator, config = self.evaluator, self.config
        n_evals, n_samples = (
            sum(step > state.step for step in eval_steps(count, state.total_steps))
            for count in (config.n_evals, config.n_samples)
        )
        wanted = n_evals * evaluator.evaluating + n_samples * evaluator.sampling
        allowed = EVALUATION_FRACTION * config.seconds - evaluator.spent
        n_checkpoints = n_samples + max(0.0, config.seconds - state.seconds) / CHECKPOINT_SECONDS
        last = evaluator.evaluating + evaluator.sampling
        return max(last, min(wanted, allowed)) + n_checkpoints * self.checkpointing


def is_at(fractions: tuple[float, ...], step: int, total_steps: int) -> bool:
    """Return whether a step is the first at or after one of these fractions of a run.

    >>> [step for step in range(20) if is_at((1 / 16, 1 / 4), step, 20)]
    [2, 5]
    """
    return any(step - 1 < fraction * total_steps <= step for fraction in fractions)
