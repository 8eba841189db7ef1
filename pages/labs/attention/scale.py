"""Chapter 5: why scores are divided by the square root of the head dimension."""

import streamlit as st

from gptcore.experiments.measurements.attention import LARGEST_FP16, N_KEYS, SCALES, Softness
from pages.kit import controls, figures, lab, plots, words
from pages.kit.plots import Band
from pages.labs.attention import cached

WIDTHS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
METRICS = {
    "entropy": "entropy divided by its maximum",
    "largest": "largest attention weight",
    "spread": "standard deviation of the scaled scores",
    "gradient": "softmax derivative, w(1 − w)",
}
N_QUERIES = 256


@st.fragment
def why_root_d() -> None:
    """Entropy, largest weight, standard deviation and gradient of a softmax against the head dimension."""
    text = words.load("05_attention")
    with lab.frame("c5_scale", text.read("lab_scale_title")):
        text.show("lab_scale", n_keys=N_KEYS)
        side, picture_pane = lab.panes()
        with side:
            width = controls.value_slider(text.read("lab_scale_width"), "c5_scale_d", WIDTHS, 64)
            metric = controls.choice(text.read("lab_scale_metric"), "c5_scale_metric", list(METRICS))
        measured = cached.softness(WIDTHS)
        index = WIDTHS.index(width)
        with picture_pane:
            draw_curves(measured, metric, width)
        at_width = {scale: measured[scale][index][0] for scale in SCALES}
        with side:
            text.show(
                "lab_scale_says",
                d=width,
                none=at_width["no scale"].largest,
                root=at_width["1/√d"].largest,
                whole=at_width["1/d"].largest,
                equal=1 / N_KEYS,
            )
        with picture_pane:
            st.markdown(f"**{text.read('lab_scale_weights', d=width)}**")
            draw_weights(at_width)
        predict(text, measured, WIDTHS[min(index + 2, len(WIDTHS) - 1)])
        text.show(
            "lab_scale_overflow",
            n=N_QUERIES * N_KEYS,
            d=WIDTHS[-1],
            highest=measured["no scale"][-1][0].highest,
            limit=LARGEST_FP16,
        )


def draw_curves(measured: dict[str, list[list[Softness]]], metric: str, width: int) -> None:
    """One metric of the softmax against the head dimension, one curve per scale."""
    picture = plots.curves(
        WIDTHS,
        {
            scale: Band(*zip(*(_range(repetitions, metric) for repetitions in measured[scale])))
            for scale in SCALES
        },
        x_title="head dimension d",
        y_title=METRICS[metric],
        log_x=True,
        log_y=metric == "spread",
        mark_x=width,
        height=270,
        revision=f"scale {metric}",
    )
    figures.show(picture, key="c5_scale_curves")


def draw_weights(at_width: dict[str, Softness]) -> None:
    """One row of attention weights under each scale."""
    picture = plots.columns(
        [str(key + 1) for key in range(N_KEYS)],
        {scale: list(softness.example) for scale, softness in at_width.items()},
        y_title="attention weight",
        form=".2f",
        height=190,
        revision="scale weights",
    )
    picture.figure.update_traces(text=None)
    picture.figure.update_yaxes(range=[0, 1])
    figures.show(picture, key="c5_scale_weights")


def predict(text: words.Words, measured: dict[str, list[list[Softness]]], width: int) -> None:
    """Predict what dividing by d does to the weights at a larger head dimension."""
    softness = {scale: measured[scale][WIDTHS.index(width)][0] for scale in SCALES}
    lab.predict(
        "c5_scale",
        text.read("lab_scale_predict", next=width),
        (
            text.read("lab_scale_predict_same"),
            text.read("lab_scale_predict_one"),
            text.read("lab_scale_predict_equal"),
        ),
        right=2,
        because=text.read(
            "lab_scale_predict_because",
            next=width,
            spread=softness["1/d"].spread,
            entropy=softness["1/d"].entropy,
            root=softness["1/√d"].entropy,
        ),
        then={"c5_scale_d": width},
    )


def _range(repetitions, metric: str) -> tuple[float, float, float]:
    """The median, minimum and maximum of one metric over the seeds."""
    values = sorted(getattr(repetition, metric) for repetition in repetitions)
    return values[len(values) // 2], values[0], values[-1]
