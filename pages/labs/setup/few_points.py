"""Chapter 1: a line fitted to too few points overfits."""

import streamlit as st
import torch

from gptcore.lessons import line_fit
from pages.kit import controls, figures, plots, words
from pages.kit.controls import Dial
from pages.labs.setup.descent import HELD_OUT_HOURS, HELD_OUT_LEVELS, HOURS, LEVELS


@st.fragment
def too_few_points() -> None:
    """A line fitted to fewer points: its training loss falls, its held-out loss does not."""
    text = words.load("01_setup")
    text.show("lab_few")
    n = controls.integer(
        text.read("lab_few_n"), "c1_few_n", Dial("", 1, len(HOURS), 1, text.read("lab_few_help")), 2
    )
    held_out_points = torch.tensor(HELD_OUT_HOURS), torch.tensor(HELD_OUT_LEVELS)
    counts = list(range(1, len(HOURS) + 1))
    lines = [line_fit.best(torch.tensor(HOURS[:k]), torch.tensor(LEVELS[:k])) for k in counts]
    training = [
        line_fit.loss_at(torch.tensor(HOURS[:k]), torch.tensor(LEVELS[:k]), *line)
        for k, line in zip(counts, lines)
    ]
    held_out = [line_fit.loss_at(*held_out_points, *line) for line in lines]
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
