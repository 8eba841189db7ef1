"""Chapter 1: three learning rates, one model."""

import torch

from gptcore.lessons import line_fit
from pages.kit import figures, plots, words
from pages.labs.setup.descent import CRAWLS, FLIES, HOURS, LANDS, N_STEPS, descent_steps


def finding() -> None:
    """Three rates, one model: it crawls, it lands, it flies off."""
    text = words.load("01_setup")
    runs = {rate: descent_steps(rate, N_STEPS) for rate in (CRAWLS, LANDS, FLIES)}
    text.show(
        "finding",
        first=runs[LANDS][0].loss,
        crawls=CRAWLS,
        slow=runs[CRAWLS][-1].loss,
        lands=LANDS,
        low=runs[LANDS][-1].loss,
        flies=FLIES,
        high=runs[FLIES][-1].loss,
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
