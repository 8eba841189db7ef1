"""How a run ends before its last step: within a step, an evaluation or a sample, and not only between them.

A step of many micro-batches may take hours. Someone who asks for a stop, and the seconds that a run was given, are
heard between two micro-batches. What such a step has done is undone, so that a resumed run takes it again from the
same windows and the same random draws: bit for bit as if there had been no request.
"""

import time
from threading import Event as Flag

import torch

from gptcore.config import TrainConfig
from gptcore.training.distributed import SINGLE, ProcessGroup

OVERRUN = 1.25  # a run whose machine slows down may take this many times the seconds it was given
FINAL_SECONDS = 10.0  # for the last evaluation and the last sample of a run that was told to end


class Interrupted(Exception):
    """A step that was not finished because the run is to end."""


class Ending:
    """Whether a run is to end: someone set its flag, or its seconds are over."""

    def __init__(self, stop: Flag, config: TrainConfig, group: ProcessGroup = SINGLE):
        self.stop, self.group = stop, group
        self.limit = None if config.seconds is None else OVERRUN * config.seconds
        self._trained, self._since = 0.0, time.perf_counter()
        self._final_until: float | None = None

    def reason(self, seconds: float) -> str | None:
        """Return `stopped` or `seconds` once a run that has trained for `seconds` is to end; every rank calls this."""
        late = self.limit is not None and seconds > self.limit
        stopped, late = self.group.any_rank(self.stop.is_set(), late)
        return "stopped" if stopped else "seconds" if late else None

    def begin_step(self, seconds: float) -> None:
        """Take note that a step begins after `seconds` of training."""
        self._trained, self._since = seconds, time.perf_counter()

    def check_step(self) -> None:
        """Raise Interrupted, on every rank, where the step that has begun is not to go on."""
        if self.reason(self._trained + time.perf_counter() - self._since) is not None:
            raise Interrupted

    def begin_final(self) -> None:
        """Let what follows, the last evaluation and the last sample, take a moment although the run is to end."""
        patience = FINAL_SECONDS if self.limit is None else max(FINAL_SECONDS, self.limit / 4)
        self._final_until = time.perf_counter() + patience

    def cuts_evaluation(self) -> bool:
        """Return whether an evaluation or a sample is to be left unfinished; rank 0 alone asks."""
        if self._final_until is not None:
            return time.perf_counter() > self._final_until
        return self.stop.is_set()


class Undo:
    """What the micro-batches of a step change before its update, as it was when the step began."""

    def __init__(self, state):
        self.state = state
        self.windows, self.rng_state, self.tokens = state.windows.state(), torch.get_rng_state(), state.tokens
        # Gradients are None between steps, except where a fault keeps them.
        weights = [weight for weight in state.model.parameters() if weight.grad is not None]
        self.gradients = {weight: weight.grad.clone() for weight in weights}

    def restore(self) -> None:
        """Put everything back."""
        self.state.windows.restore(self.windows)
        torch.set_rng_state(self.rng_state)
        self.state.tokens = self.tokens
        for weight in self.state.model.parameters():
            if weight in self.gradients:
                weight.grad.copy_(self.gradients[weight])
            else:
                weight.grad = None
