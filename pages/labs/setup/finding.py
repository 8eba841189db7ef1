"""Chapter 1: three learning rates, one model."""

import torch

from gptcore.lessons import line_fit
from pages.kit import figures, plots, words
from pages.labs.setup.descent import GOOD_RATE, HIGH_RATE, HOURS, LOW_RATE, N_STEPS, descent_steps


def finding() -> None:
    """One model, three learning rates: slow, converging and diverging."""
    text = words.load("01_setup")
    runs = {rate: descent_steps(rate, N_STEPS) for rate in (LOW_RATE, GOOD_RATE, HIGH_RATE)}
    text.show(
        "finding",
        first=runs[GOOD_RATE][0].loss,
        crawls=LOW_RATE,
        slow=runs[LOW_RATE][-1].loss,
        lands=GOOD_RATE,
        low=runs[GOOD_RATE][-1].loss,
        flies=HIGH_RATE,
        high=runs[HIGH_RATE][-1].loss,
        limit=line_fit.max_learning_rate(torch.tensor(HOURS)),
        n=N_STEPS,
    )
    picture = plots.curves(
        range(N_STEPS + 1),
        {f"rate {rate:g}": [state.loss for state in states] for rate, states in runs.items()},
        x_title="step",
        y_title="loss",
        log_y=True,
        height=260,
        revision="c1 finding",
    )
    figures.show(picture, key="c1_finding")
