"""Chapter 4: a text longer than the trained context, and RoPE scaling."""

import math
from collections.abc import Mapping
from statistics import fmean

import streamlit as st

from gptcore.experiments.measurements.positions import BEYOND, BIN
from pages.kit import controls, figures, lab, plots, session, words
from pages.labs.positions import cached
from pages.labs.positions.finding import rotary_storyteller

METHODS = ("none", "linear", "ntk", "by frequency")
FACTORS = (2, 4, 8)


@st.fragment
def extrapolation() -> None:
    """The loss by position beyond the trained context, without scaling and with one of three methods."""
    text = words.load("04_positions")
    with lab.frame("c4_far", text.read("lab_far_title")):
        model = rotary_storyteller()
        session.caption_other_model(model)
        trained = model.config.context_length
        text.show("lab_far", trained=trained, times=BEYOND)
        side, picture_pane = lab.panes()
        with side:
            method = controls.dropdown(
                text.read("lab_far_cure"), "c4_far_cure", METHODS, help=text.read("lab_far_cure_help")
            )
            factor = controls.value_slider(text.read("lab_far_factor"), "c4_far_factor", FACTORS, 4)
        losses = {text.read("lab_far_raw"): cached.loss_by_position(model, "as trained", 1)}
        if method != "none":
            losses[method] = cached.loss_by_position(model, method, factor)
        with picture_pane:
            _curves(losses, trained, text)
        with side:
            _summary(
                *losses.values(),
                inside=trained // BIN,
                trained=trained,
                method=method,
                factor=factor,
                text=text,
            )
        lab.predict(
            "c4_far",
            text.read("lab_far_predict", factor=factor, trained=trained),
            (
                text.read("lab_far_predict_extends"),
                text.read("lab_far_predict_keeps"),
                text.read("lab_far_predict_kills"),
            ),
            right=2,
            because=text.read(
                "lab_far_predict_because", factor=factor, fast=math.tau, turn=math.tau * factor
            ),
            then={"c4_far_cure": "linear"},
        )
        text.show("lab_far_cures")


def _curves(losses: Mapping[str, list[float]], trained: int, text: words.Words) -> None:
    """The loss in each bin of positions, with a line where the trained context ends."""
    n_bins = len(next(iter(losses.values())))
    picture = plots.curves(
        [BIN * i + BIN // 2 for i in range(n_bins)],
        losses,
        x_title=text.read("lab_far_x"),
        y_title=text.read("lab_far_y"),
        height=320,
        revision="far",
    )
    figures.dotted_line(picture.figure, x=trained)
    picture.figure.add_annotation(
        x=trained,
        y=1,
        yref="y domain",
        text=text.read("lab_far_line", trained=trained),
        showarrow=False,
        xanchor="left",
        xshift=4,
        font={"size": 11},
    )
    picture.figure.update_yaxes(rangemode="tozero")
    figures.show(picture, key="c4_far_curves")


def _summary(
    unscaled: list[float],
    scaled: list[float] | None = None,
    *,
    inside: int,
    trained: int,
    method: str,
    factor: int,
    text: words.Words,
) -> None:
    """Mean losses within the trained context and beyond it; the first `inside` values are within."""
    text.show(
        "lab_far_says",
        inside=fmean(unscaled[:inside]),
        trained=trained,
        beyond=fmean(unscaled[inside:]),
        end=unscaled[-1],
    )
    if scaled is not None:
        text.show(
            "lab_far_treated",
            cure=method,
            factor=factor,
            before=fmean(unscaled[:inside]),
            inside=fmean(scaled[:inside]),
            raw=fmean(unscaled[inside:]),
            beyond=fmean(scaled[inside:]),
        )
