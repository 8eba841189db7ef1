"""How gradient descent on a line went: each step, and its outcome."""

import math
from itertools import takewhile

import torch

from gptcore.lessons import line_fit

# Hours of rain and the water in the bucket, in centimeters; two more points are held out.
HOURS = (0.0, 1.0, 2.0, 3.0)
LEVELS = (1.1, 1.4, 2.1, 2.4)
KEPT_HOURS, KEPT_LEVELS = (0.5, 2.5), (1.2, 2.3)
CRAWLS, LANDS, FLIES = 0.01, 0.15, 0.26  # learning rates
N_STEPS = 30
NEAR = 0.01  # of the way from the first loss to the least: nearer than this has landed


def descent_steps(rate: float, n_steps: int, x=HOURS, y=LEVELS, *, w: float = 0.0, b: float = 0.0) -> list:
    """Where a line stands before each step and after the last, for as long as its numbers are numbers."""
    states = line_fit.descend(torch.tensor(x), torch.tensor(y), rate, n_steps, w=w, b=b)
    return list(takewhile(lambda state: math.isfinite(state.loss), states))


def outcome(states: list, n_steps: int, least: float) -> str:
    """How a descent went: `flies` off, `lands`, or `crawls` and has not arrived."""
    first, last = states[0].loss, states[-1].loss
    if len(states) <= n_steps or last > max(first, least) * (1 + 1e-6):
        return "flies"
    return "lands" if last - least <= NEAR * (first - least) + 1e-9 else "crawls"
