"""Chapter 2: what a larger vocabulary saves in tokens, and what it costs in weights."""

import streamlit as st

from gptcore.account import n_parameters, parameters
from gptcore.config import PRESETS, ModelConfig
from pages.kit import controls, figures, lab, plots, words
from pages.labs.tokens import cached

SIZES = (257, 320, 400, 512, 640, 800, 1024, 1280, 1600, 2048)
GPT2_SIZE = 50_257


@st.fragment
def vocabulary_size() -> None:
    """The length of a text, and the size of the table, against the size of the vocabulary."""
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
        shares = [share_of_embedding(shape.replace(vocab_size=v)) for v in SIZES]
        at = SIZES.index(size)
        text.show(
            "lab_size_says",
            v=size,
            tokens=counts[at],
            ratio=n_bytes / counts[at],
            shorter=counts[0] / counts[at],
            pairs=(counts[0] / counts[at]) ** 2,
            weights=size * shape.d_model,
            width=shape.d_model,
            share=shares[at],
            preset=preset,
        )
        left, right = st.columns(2, gap="large")
        with left:
            relative = [count / counts[0] for count in counts]
            picture = _against_size("tokens", relative, "tokens per byte", size)
            figures.show(picture, key="c2_size_length")
        with right:
            picture = _against_size(
                "table", shares, "fraction of parameters in the embedding matrix", size, preset
            )
            picture.figure.update_yaxes(tickformat=".0%")
            figures.show(picture, key="c2_size_share")
        _predict(text)


def share_of_embedding(config: ModelConfig) -> float:
    """The fraction of a model's weights that its embedding table holds."""
    return parameters(config)["embedding"] / n_parameters(config)


def _against_size(
    name: str, values: list[float], y_title: str, size: int, preset: str = ""
) -> figures.Picture:
    """One curve over the sizes of the vocabulary, with the chosen size marked."""
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
    share = share_of_embedding(nano)
    lab.predict(
        "c2_size",
        text.read("lab_size_predict", gpt2=GPT2_SIZE, width=nano.d_model),
        (
            text.read("lab_size_predict_tenth"),
            text.read("lab_size_predict_third"),
            text.read("lab_size_predict_most"),
        ),
        right=2 if share > 0.5 else 1 if share > 0.2 else 0,
        because=text.read("lab_size_predict_because", share=share, weights=GPT2_SIZE * nano.d_model),
    )
