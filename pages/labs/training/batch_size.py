"""Chapter 8: how well the gradient of a batch agrees with that of many windows, by batch size."""

from collections.abc import Sequence

import streamlit as st

from gptcore.training.gradient_noise import GradientAgreement
from pages.kit import controls, figures, lab, plots, session, words
from pages.kit.figures import Line
from pages.labs.training import cached

PARTS = (1, 2, 4, 8, 16)


@st.fragment
def batch_size() -> None:
    """Show how well gradients agree by batch size, and that a batch can be accumulated from micro-batches."""
    text = words.load("08_training")
    text.show("lab_batch")
    use = session.model_in_use()
    trained, fresh = cached.batch_agreements(use), cached.fresh_batch_agreements(use)
    sizes = [agreement.size for agreement in trained]
    picture = plots.curves(
        sizes,
        {"freshly initialized": _mean_and_range(fresh), "model in use": _mean_and_range(trained)},
        x_title="batch size (windows)",
        y_title="cosine with 64 windows",
        log_x=True,
        y_range=(-0.2, 1.05),
        lines=[Line("the same direction", 1.0)],
        height=260,
        revision="c8_batch",
    )
    figures.show(picture, key="c8_batch_curve")
    start, now = (_mean_and_range(agreements).y for agreements in (fresh, trained))
    text.show(
        "lab_batch_says",
        small=start[0],
        large=start[-1],
        small_now=now[0],
        large_now=now[-1],
        size=sizes[-1],
    )
    parts = controls.value_slider(text.read("lab_batch_parts"), "c8_batch_parts", PARTS, 4)
    error, length = cached.batch_in_parts(use, parts)
    text.show("lab_batch_in_parts", parts=parts, windows=16 // parts, off=error, length=length)
    lab.predict(
        "c8_batch",
        text.read("lab_batch_predict"),
        (text.read("lab_batch_same"), text.read("lab_batch_worse"), text.read("lab_batch_longer")),
        right=0,
        because=text.read("lab_batch_because"),
        then={"c8_batch_parts": 16},
    )


def _mean_and_range(agreements: Sequence[GradientAgreement]) -> plots.Band:
    """The mean cosine of each batch size, with the lowest and the highest."""
    cosines = [agreement.cosines for agreement in agreements]
    return plots.Band(
        [sum(values) / len(values) for values in cosines],
        [min(values) for values in cosines],
        [max(values) for values in cosines],
    )
