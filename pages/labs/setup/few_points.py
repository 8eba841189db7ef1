"""Chapter 1: a line fitted to too few points overfits."""

import streamlit as st
import torch

from gptcore.lessons import line_fit
from pages.kit import controls, figures, plots, words
from pages.kit.controls import Dial
from pages.labs.setup.descent import HOURS, KEPT_HOURS, KEPT_LEVELS, LEVELS


@st.fragment
def too_few_points() -> None:
    """A line that learns from fewer points: its own loss falls, the loss on held-out points does not."""
    text = words.load("01_setup")
    text.show("lab_few")
    n = controls.integer(
        text.read("lab_few_n"), "c1_few_n", Dial("", 1, len(HOURS), 1, text.read("lab_few_help")), 2
    )
    kept = torch.tensor(KEPT_HOURS), torch.tensor(KEPT_LEVELS)
    counts = list(range(1, len(HOURS) + 1))
    lines = [line_fit.best(torch.tensor(HOURS[:k]), torch.tensor(LEVELS[:k])) for k in counts]
    training = [
        line_fit.loss_at(torch.tensor(HOURS[:k]), torch.tensor(LEVELS[:k]), *found)
        for k, found in zip(counts, lines)
    ]
    held_out = [line_fit.loss_at(*kept, *found) for found in lines]
    picture = plots.curves(
        counts,
        {"training loss": training, "held-out loss": held_out},
        x_title="training points",
        y_title="loss",
        mark_x=n,
        height=280,
        revision="few",
    )
    picture.figure.update_xaxes(dtick=1)
    figures.show(picture, key="c1_few_curves")
    text.show(
        "lab_few_says",
        n=n,
        training=training[n - 1],
        held_out=held_out[n - 1],
        w=lines[n - 1][0],
        b=lines[n - 1][1],
    )
