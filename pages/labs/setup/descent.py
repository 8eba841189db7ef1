"""Gradient descent on a line: its states, and whether it converged."""

import math
from itertools import takewhile

import torch

from gptcore.lessons import line_fit

# Hours of rain and the water in the bucket, in centimeters; two more points are held out.
HOURS = (0.0, 1.0, 2.0, 3.0)
LEVELS = (1.1, 1.4, 2.1, 2.4)
HELD_OUT_HOURS, HELD_OUT_LEVELS = (0.5, 2.5), (1.2, 2.3)
LOW_RATE, GOOD_RATE, HIGH_RATE = 0.01, 0.15, 0.26
N_STEPS = 30
NEAR = 0.01  # converged if the loss has at most this fraction of its possible drop left


def descent_steps(rate: float, n_steps: int, x=HOURS, y=LEVELS, *, w: float = 0.0, b: float = 0.0) -> list:
    """The state of the line before each step and after the last, until the loss is no longer finite."""
    states = line_fit.descend(torch.tensor(x), torch.tensor(y), rate, n_steps, w=w, b=b)
    return list(takewhile(lambda state: math.isfinite(state.loss), states))


def outcome(states: list, n_steps: int, minimum: float) -> str:
    """The outcome of a descent: `flies` (diverged), `lands` (converged), or `crawls` (still converging)."""
    first, last = states[0].loss, states[-1].loss
    if len(states) <= n_steps or last > max(first, minimum) * (1 + 1e-6):
        return "flies"
    return "lands" if last - minimum <= NEAR * (first - minimum) + 1e-9 else "crawls"
