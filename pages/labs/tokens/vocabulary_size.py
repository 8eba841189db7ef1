"""Chapter 2: what a larger vocabulary saves in tokens, and what it costs in weights."""

import streamlit as st

from gptcore.account import n_parameters, parameters
from gptcore.config import PRESETS
from pages.kit import controls, figures, lab, plots, words
from pages.kit.plots import Band
from pages.labs.tokens import cached

SIZES = (257, 320, 400, 512, 640, 800, 1024, 1280, 1600, 2048)
GPT2_SIZE = 50_257


@st.fragment
def sizes() -> None:
    """The length of a text, and the size of the table, against the size of the vocabulary."""
    text = words.load("02_tokens")
    with lab.frame("c2_size", text.read("lab_size_title")):
        text.show("lab_size")
        left, right = st.columns(2, gap="large")
        with left:
            size = controls.stops(text.read("lab_size_vocabulary"), "c2_size_v", SIZES, 1024)
        with right:
            preset = controls.choice(text.read("lab_size_model"), "c2_size_model", ("nano", "tiny", "small"))
        n_bytes, counts = cached.story_costs(SIZES)
        shape = PRESETS[preset].model
        shares = {}
        for one in (*SIZES, GPT2_SIZE):
            config = shape.replace(vocab_size=one)
            shares[one] = parameters(config)["embedding"] / n_parameters(config)
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
            share=shares[size],
            preset=preset,
        )
        one, two = st.columns(2, gap="large")
        with one:
            picture = plots.curves(
                SIZES,
                {"tokens": Band([count / counts[0] for count in counts])},
                x_title="tokens in the vocabulary, V",
                y_title="length of the text, bytes = 1",
                mark_x=size,
                y_range=(0, 1.05),
                height=280,
                revision="size length",
            )
            picture.figure.update_layout(showlegend=False)
            st.plotly_chart(picture.figure, key="c2_size_length", config=figures.CONFIG, alt=picture.alt)
        with two:
            picture = plots.curves(
                SIZES,
                {"table": Band([shares[one] for one in SIZES])},
                x_title="tokens in the vocabulary, V",
                y_title="the table's share of all weights",
                mark_x=size,
                y_range=(0, 1.05 * max(shares[one] for one in SIZES)),
                height=280,
                revision=f"size share {preset}",
            )
            picture.figure.update_layout(showlegend=False)
            picture.figure.update_yaxes(tickformat=".0%")
            st.plotly_chart(picture.figure, key="c2_size_share", config=figures.CONFIG, alt=picture.alt)
        nano = PRESETS["nano"].model.replace(vocab_size=GPT2_SIZE)
        share = parameters(nano)["embedding"] / n_parameters(nano)
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
