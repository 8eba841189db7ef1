"""Chapter 8: how well a batch's gradient points, by its size."""

import streamlit as st

from pages.kit import controls, figures, lab, plots, session, words
from pages.kit.figures import Line
from pages.labs.training import cached

PARTS = (1, 2, 4, 8, 16)


@st.fragment
def batch_size() -> None:
    """How well a batch's gradient points, by its size; and that a batch may be read in parts."""
    text = words.load("08_training")
    text.show("lab_batch")
    use = session.model_in_use()
    agreements = cached.batch_agreements(use)
    sizes = [agreement.size for agreement in agreements]
    middle = [sum(agreement.cosines) / len(agreement.cosines) for agreement in agreements]
    band = plots.Band(
        middle,
        [min(agreement.cosines) for agreement in agreements],
        [max(agreement.cosines) for agreement in agreements],
    )
    picture = plots.curves(
        sizes,
        {"agreement": band},
        x_title="batch size (windows)",
        y_title="cosine with 64 windows",
        log_x=True,
        y_range=(0, 1.05),
        lines=[Line("the same direction", 1.0)],
        height=260,
        revision="c8_batch",
    )
    figures.show(picture, key="c8_batch_curve")
    text.show("lab_batch_says", small=middle[0], large=middle[-1], size=sizes[-1])
    parts = controls.value_slider(text.read("lab_batch_parts"), "c8_batch_parts", PARTS, 4)
    off, length = cached.batch_in_parts(use, parts)
    text.show("lab_batch_in_parts", parts=parts, windows=16 // parts, off=off, length=length)
    lab.predict(
        "c8_batch",
        text.read("lab_batch_predict"),
        (text.read("lab_batch_same"), text.read("lab_batch_worse"), text.read("lab_batch_longer")),
        right=0,
        because=text.read("lab_batch_because"),
        then={"c8_batch_parts": 16},
    )
