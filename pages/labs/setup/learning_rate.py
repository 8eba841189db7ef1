"""Chapter 1: the learning rate on a slider, and the path it takes over the loss."""

import streamlit as st
import torch

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
            rate = controls.decimal(
                text.read("lab_knob_rate"),
                "c1_knob_rate",
                0.005,
                0.3,
                0.1,
                0.005,
                text.read("example_rate_help"),
            )
        with right:
            n_steps = controls.whole(
                text.read("lab_knob_steps"),
                "c1_knob_steps",
                Dial("", 1, 100, 1, text.read("lab_knob_help")),
                20,
            )
        states, lowest = descent_steps(rate, n_steps), line_fit.best(x, y)
        least, limit = line_fit.loss_at(x, y, *lowest), line_fit.largest_rate(x)
        ws, bs = (
            [low + (high - low) * i / 40 for i in range(41)] for low, high in ((-0.8, 1.6), (-0.8, 2.2))
        )
        with left:
            way = [(state.w, state.b) for state in states]
            picture = slopes.descent(
                ws, bs, line_fit.loss_map(x, y, ws, bs), way, lowest, revision="knob map"
            )
            st.plotly_chart(picture.figure, key="c1_knob_map", config=figures.CONFIG, alt=picture.alt)
        with right:
            picture = plots.curves(
                [state.step for state in states],
                {
                    "loss": [max(state.loss, 1e-9) for state in states],
                    "least there can be": [least] * len(states),
                },
                x_title="step",
                y_title="loss",
                log_y=True,
                height=340,
                revision="knob loss",
            )
            picture.figure.update_yaxes(dtick=1)  # powers of ten
            st.plotly_chart(picture.figure, key="c1_knob_loss", config=figures.CONFIG, alt=picture.alt)
        ended = outcome(states, n_steps, least)
        last = states[-1]
        if ended == "flies":
            text.show("lab_knob_flies", rate=rate, limit=limit, loss=last.loss, step=last.step)
        elif ended == "lands":
            text.show("lab_knob_lands", rate=rate, loss=last.loss, least=least, n=n_steps, limit=limit)
        else:
            text.show("lab_knob_crawls", rate=rate, loss=last.loss, least=least, n=n_steps, limit=limit)
        following = FLIES if rate < limit else LANDS
        then = outcome(descent_steps(following, n_steps), n_steps, least)
        kinds = ("crawls", "lands", "flies")
        lab.predict(
            "c1_knob",
            text.read("lab_knob_predict", next=following),
            (
                text.read("lab_knob_predict_crawls"),
                text.read("lab_knob_predict_lands"),
                text.read("lab_knob_predict_flies"),
            ),
            right=kinds.index(then),
            because=text.read("lab_knob_because", next=following, limit=limit),
            then={"c1_knob_rate": following},
        )
