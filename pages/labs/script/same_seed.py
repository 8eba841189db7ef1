"""Chapter 10: what a seed guarantees, and where two texts differ."""

import streamlit as st

from pages.kit import chips, controls, lab, session, words
from pages.labs.script import cached

PROMPT = "Once upon a time"
LENGTHS = (20, 40, 80, 120)


@st.fragment
def same_seed() -> None:
    """Generate from one prompt and seed with original and rounded weights; show where the texts differ."""
    text = words.load("10_script")
    with lab.frame("c10_seed", text.read("lab_seed_title")):
        text.show("lab_seed")
        session.caption_shipped_model()
        left, right = st.columns(2, gap="large")
        with left:
            dial = controls.Dial("", 1, 60, 1, "The same seed gives the same random numbers.")
            seed = controls.integer(text.read("lab_seed_seed"), "c10_seed_seed", dial, 10)
        with right:
            n_tokens = controls.value_slider(text.read("lab_seed_tokens"), "c10_seed_tokens", LENGTHS, 40)
        original, rounded, difference = cached.generated_twice(PROMPT, seed, n_tokens)
        for column, title, tokens in (
            (left, text.read("lab_seed_left"), original),
            (right, text.read("lab_seed_right"), rounded),
        ):
            with column:
                st.markdown(f"**{title}**")
                chips.strip(
                    [
                        chips.Chip(
                            chips.visible(token),
                            "new" if difference is not None and position >= difference else "plain",
                            "",
                        )
                        for position, token in enumerate(tokens)
                    ],
                    key=f"c10_seed_strip_{'left' if column is left else 'right'}",
                    label=title,
                )
        if difference is None:
            text.show("lab_seed_same")
        else:
            text.show("lab_seed_part", place=difference + 1)
        lab.predict(
            "c10_seed",
            text.read("lab_seed_predict"),
            (
                text.read("lab_seed_predict_always"),
                text.read("lab_seed_predict_usually"),
                text.read("lab_seed_predict_never"),
            ),
            right=1,
            because=text.read("lab_seed_predict_because"),
        )
