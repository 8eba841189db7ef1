"""Chapter 1: the learning rate on a slider, and the path of the parameters over the loss."""

import streamlit as st
import torch
from torch import Tensor

from gptcore.lessons import line_fit
from pages.kit import controls, figures, lab, plots, slopes, words
from pages.kit.controls import Dial
from pages.labs.setup.descent import GOOD_RATE, HIGH_RATE, HOURS, LEVELS, descent_steps, outcome


@st.fragment
def one_knob() -> None:
    """The learning rate on a slider: the path on a map of the loss, and the loss at each step."""
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
        minimum, limit = line_fit.loss_at(x, y, *line_fit.best(x, y)), line_fit.max_learning_rate(x)
        with right:
            draw_loss(steps, minimum)
        outcome_name, last = outcome(steps, n_steps, minimum), steps[-1]
        if outcome_name == "flies":
            text.show("lab_knob_flies", rate=rate, limit=limit, loss=last.loss, step=last.step)
        elif outcome_name == "lands":
            text.show("lab_knob_lands", rate=rate, loss=last.loss, least=minimum, n=n_steps, limit=limit)
        else:
            text.show("lab_knob_crawls", rate=rate, loss=last.loss, least=minimum, n=n_steps, limit=limit)
        predict(text, rate, n_steps, minimum, limit)


def draw_path(x: Tensor, y: Tensor, steps: list) -> None:
    """The path of weight and bias over a map of the loss."""
    ws, bs = ([low + (high - low) * i / 40 for i in range(41)] for low, high in ((-0.8, 1.6), (-0.8, 2.2)))
    path = [(step.w, step.b) for step in steps]
    picture = slopes.descent(
        ws, bs, line_fit.loss_map(x, y, ws, bs), path, line_fit.best(x, y), revision="knob map"
    )
    figures.show(picture, key="c1_knob_map")


def draw_loss(steps: list, minimum: float) -> None:
    """The loss at each step, and the minimum possible loss."""
    picture = plots.curves(
        [step.step for step in steps],
        {"loss": [max(step.loss, 1e-9) for step in steps], "minimum possible loss": [minimum] * len(steps)},
        x_title="step",
        y_title="loss",
        log_y=True,
        height=340,
        revision="knob loss",
    )
    picture.figure.update_yaxes(dtick=1)  # powers of ten
    figures.show(picture, key="c1_knob_loss")


def predict(text: words.Words, rate: float, n_steps: int, minimum: float, limit: float) -> None:
    """Predict the outcome of a learning rate on the other side of the limit."""
    next_rate = HIGH_RATE if rate < limit else GOOD_RATE
    next_outcome = outcome(descent_steps(next_rate, n_steps), n_steps, minimum)
    lab.predict(
        "c1_knob",
        text.read("lab_knob_predict", next=next_rate),
        (
            text.read("lab_knob_predict_crawls"),
            text.read("lab_knob_predict_lands"),
            text.read("lab_knob_predict_flies"),
        ),
        right=("crawls", "lands", "flies").index(next_outcome),
        because=text.read("lab_knob_because", next=next_rate, limit=limit),
        then={"c1_knob_rate": next_rate},
    )
