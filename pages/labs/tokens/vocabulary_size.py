"""Chapter 2: the tokens that a larger vocabulary saves, and the parameters that it costs."""

import streamlit as st

from gptcore.account import n_parameters, parameters
from gptcore.config import PRESETS, ModelConfig
from pages.kit import controls, figures, lab, plots, words
from pages.labs.tokens import cached

SIZES = (257, 320, 400, 512, 640, 800, 1024, 1280, 1600, 2048)
GPT2_SIZE = 50_257


@st.fragment
def vocabulary_size() -> None:
    """The length of a text and the size of the embedding matrix, as functions of the vocabulary size."""
    text = words.load("02_tokens")
    with lab.frame("c2_size", text.read("lab_size_title")):
        text.show("lab_size")
        left, right = st.columns(2, gap="large")
        with left:
            size = controls.value_slider(text.read("lab_size_vocabulary"), "c2_size_v", SIZES, 1024)
        with right:
            preset = controls.choice(text.read("lab_size_model"), "c2_size_model", ("nano", "tiny", "small"))
        n_bytes, counts = cached.story_costs(SIZES)
        shape = PRESETS[preset].model
        fractions = [embedding_fraction(shape.replace(vocab_size=v)) for v in SIZES]
        index = SIZES.index(size)
        text.show(
            "lab_size_says",
            v=size,
            tokens=counts[index],
            ratio=n_bytes / counts[index],
            shorter=counts[0] / counts[index],
            pairs=(counts[0] / counts[index]) ** 2,
            weights=size * shape.d_model,
            width=shape.d_model,
            share=fractions[index],
            preset=preset,
        )
        left, right = st.columns(2, gap="large")
        with left:
            relative = [count / counts[0] for count in counts]
            picture = _against_size("tokens", relative, "tokens per byte", size)
            figures.show(picture, key="c2_size_length")
        with right:
            picture = _against_size(
                "table", fractions, "fraction of parameters in the embedding matrix", size, preset
            )
            picture.figure.update_yaxes(tickformat=".0%")
            figures.show(picture, key="c2_size_share")
        _predict(text)


def embedding_fraction(config: ModelConfig) -> float:
    """The fraction of a model's parameters that are in its embedding matrix."""
    return parameters(config)["embedding"] / n_parameters(config)


def _against_size(
    name: str, values: list[float], y_title: str, size: int, preset: str = ""
) -> figures.Picture:
    """One curve over the vocabulary sizes, with the chosen size marked."""
    picture = plots.curves(
        SIZES,
        {name: values},
        x_title="vocabulary size V",
        y_title=y_title,
        mark_x=size,
        y_range=(0, 1.05 * max(values)),
        height=280,
        revision=f"size {name} {preset}",
    )
    picture.figure.update_layout(showlegend=False)
    return picture


def _predict(text: words.Words) -> None:
    nano = PRESETS["nano"].model.replace(vocab_size=GPT2_SIZE)
    fraction = embedding_fraction(nano)
    lab.predict(
        "c2_size",
        text.read("lab_size_predict", gpt2=GPT2_SIZE, width=nano.d_model),
        (
            text.read("lab_size_predict_tenth"),
            text.read("lab_size_predict_third"),
            text.read("lab_size_predict_most"),
        ),
        right=2 if fraction > 0.5 else 1 if fraction > 0.2 else 0,
        because=text.read("lab_size_predict_because", share=fraction, weights=GPT2_SIZE * nano.d_model),
    )
