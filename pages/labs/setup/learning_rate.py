"""Chapter 1: the learning rate on a slider, and the path it takes over the loss."""

import streamlit as st
import torch
from torch import Tensor

from gptcore.lessons import line_fit
from pages.kit import controls, figures, lab, plots, slopes, words
from pages.kit.controls import Dial
from pages.labs.setup.descent import FLIES, HOURS, LANDS, LEVELS, descent_steps, outcome


@st.fragment
def one_knob() -> None:
    """The rate on a slider: the way on the map of the loss, and the loss step by step."""
    text = words.load("01_setup")
    x, y = torch.tensor(HOURS), torch.tensor(LEVELS)
    with lab.frame("c1_knob", text.read("lab_knob_title")):
        text.show("lab_knob")
        left, right = st.columns(2, gap="large")
        with left:
            rate = controls.number(
                text.read("lab_knob_rate"),
                "c1_knob_rate",
                0.005,
                0.3,
                0.1,
                0.005,
                text.read("example_rate_help"),
            )
        with right:
            n_steps = controls.integer(
                text.read("lab_knob_steps"),
                "c1_knob_steps",
                Dial("", 1, 100, 1, text.read("lab_knob_help")),
                20,
            )
        steps = descent_steps(rate, n_steps)
        with left:
            draw_path(x, y, steps)
        least, limit = line_fit.loss_at(x, y, *line_fit.best(x, y)), line_fit.max_learning_rate(x)
        with right:
            draw_loss(steps, least)
        outcome_name, last = outcome(steps, n_steps, least), steps[-1]
        if outcome_name == "flies":
            text.show("lab_knob_flies", rate=rate, limit=limit, loss=last.loss, step=last.step)
        elif outcome_name == "lands":
            text.show("lab_knob_lands", rate=rate, loss=last.loss, least=least, n=n_steps, limit=limit)
        else:
            text.show("lab_knob_crawls", rate=rate, loss=last.loss, least=least, n=n_steps, limit=limit)
        predict(text, rate, n_steps, least, limit)


def draw_path(x: Tensor, y: Tensor, steps: list) -> None:
    """The path of weight and bias over a map of the loss."""
    ws, bs = ([low + (high - low) * i / 40 for i in range(41)] for low, high in ((-0.8, 1.6), (-0.8, 2.2)))
    path = [(step.w, step.b) for step in steps]
    picture = slopes.descent(
        ws, bs, line_fit.loss_map(x, y, ws, bs), path, line_fit.best(x, y), revision="knob map"
    )
    figures.show(picture, key="c1_knob_map")


def draw_loss(steps: list, least: float) -> None:
    """The loss step by step, beside the least there can be."""
    picture = plots.curves(
        [step.step for step in steps],
        {"loss": [max(step.loss, 1e-9) for step in steps], "minimum possible loss": [least] * len(steps)},
        x_title="step",
        y_title="loss",
        log_y=True,
        height=340,
        revision="knob loss",
    )
    picture.figure.update_yaxes(dtick=1)  # powers of ten
    figures.show(picture, key="c1_knob_loss")


def predict(text: words.Words, rate: float, n_steps: int, least: float, limit: float) -> None:
    """Predict how a rate on the other side of the limit ends."""
    following = FLIES if rate < limit else LANDS
    ending = outcome(descent_steps(following, n_steps), n_steps, least)
    lab.predict(
        "c1_knob",
        text.read("lab_knob_predict", next=following),
        (
            text.read("lab_knob_predict_crawls"),
            text.read("lab_knob_predict_lands"),
            text.read("lab_knob_predict_flies"),
        ),
        right=("crawls", "lands", "flies").index(ending),
        because=text.read("lab_knob_because", next=following, limit=limit),
        then={"c1_knob_rate": following},
    )
