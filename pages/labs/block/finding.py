"""Chapter 6: the gradient along a deep stack, with and without its residual connections."""

import math

import streamlit as st

from gptcore.interpret.gradient_depth import NO_EPS
from pages.kit import figures, initialization, plots, words

FINDING_BLOCKS = 48
USUAL_EPS = 1e-5


def powers_of_ten(top: float, bottom: float) -> float:
    """The ratio of two numbers as a power of ten."""
    return math.log10(top / bottom)


def drawable(values) -> list[float | None]:
    """Numbers for a logarithmic axis: a 0 leaves a gap."""
    return [value if value > 0 else None for value in values]


def finding() -> None:
    """The gradient along a deep stack, with and without residual connections."""
    text = words.load("06_block")
    text.show("finding", n=FINDING_BLOCKS)
    without, with_residual = (
        initialization.stack_profile(FINDING_BLOCKS, "pre", on, NO_EPS) for on in (False, True)
    )
    picture = plots.curves(
        list(range(FINDING_BLOCKS + 1)),
        {
            "F(x), replaces the input": without.gradient_norms,
            "x + F(x), adds to it": with_residual.gradient_norms,
        },
        x_title="after block (0: input of the first)",
        y_title=text.read("finding_chart"),
        log_y=True,
        height=260,
        revision="finding",
    )
    left, side = st.columns([3, 2], gap="large", vertical_alignment="center")
    with left:
        figures.show(picture, key="c6_finding")
    with side:
        text.show(
            "finding_says",
            powers=powers_of_ten(without.gradient_norms[0], with_residual.gradient_norms[0]),
            n=FINDING_BLOCKS,
        )
