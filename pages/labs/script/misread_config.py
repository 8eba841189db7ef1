"""Chapter 10: the shipped weights with configs that change no shape."""

import math

import streamlit as st

from gptcore.experiments.measurements.script import MISREADINGS
from pages.kit import controls, figures, lab, models, plots, session, words
from pages.labs.script import cached

RIGHT = "as it was trained"
OTHER_HEADS = "8 heads of 16"


@st.fragment
def misread_config() -> None:
    """Show the loss of the shipped weights with a wrong config that changes no shape."""
    text = words.load("10_script")
    with lab.frame("c10_misread", text.read("lab_misread_title")):
        text.show("lab_misread")
        session.caption_shipped_model()
        chosen = controls.dropdown(
            text.read("lab_misread_what"), "c10_misread_as", list(MISREADINGS), default="norm_eps 0.1"
        )
        config = models.shipped().config
        right, loss = cached.loss_misread(RIGHT), cached.loss_misread(chosen)
        uniform = math.log(config.vocab_size)
        picture = plots.columns(
            (RIGHT, chosen if chosen != RIGHT else "the same", "uniform"),
            {"loss": [right, loss, uniform]},
            y_title=text.read("lab_misread_chart"),
            form=".2f",
            height=260,
            revision="misread",
        )
        figures.show(picture, key="c10_misread_bars")
        text.show("lab_misread_says", loss=loss, right=right, uniform=uniform)
        because = ""
        if st.session_state.get("c10_misread_guess") is not None:
            other_heads = cached.loss_misread(OTHER_HEADS)
            because = text.read("lab_misread_predict_because", right=right, loss=other_heads)
        lab.predict(
            "c10_misread",
            text.read("lab_misread_predict", heads=config.n_heads, width=config.head_dim),
            (
                text.read("lab_misread_predict_error"),
                text.read("lab_misread_predict_same"),
                text.read("lab_misread_predict_loss"),
            ),
            right=2,
            because=because,
            then={"c10_misread_as": OTHER_HEADS},
        )
