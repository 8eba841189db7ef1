"""Chapter 0: a name introduced in the context is known there and nowhere else."""

import streamlit as st

from pages.kit import controls, figures, forward, plots, session, words
from pages.kit.controls import Dial
from pages.kit.pronoun_story import storyteller

NAME = " Mira"
INTRODUCTION = "Once there was a queen named Mira who lived in a castle. "
PROMPT = '"Thank you," said'


@st.fragment
def chat() -> None:
    """The probability of a name the text has introduced, and of the same name in a new text."""
    text = words.load("00_overview")
    text.show("lab_chat", told=INTRODUCTION.strip(), asked=PROMPT)
    model = storyteller()
    session.caption_other_model(model)
    dial = Dial("", 0, 4, 1, text.read("lab_chat_help"))
    times = controls.integer(text.read("lab_chat_times"), "c0_chat_times", dial, 1)

    def name_probability(n: int) -> float:
        return forward.next_token_probabilities(model, INTRODUCTION * n + PROMPT, (NAME,))[0]

    inside, before = name_probability(times), name_probability(0)
    fresh = name_probability(0)
    picture = plots.columns(
        ["before", f"same text, sentence given {times}×", "new text"],
        {NAME: [before, inside, fresh]},
        y_title=text.read("lab_chat_chart", name=NAME.strip()),
        form=".1%",
        height=260,
        revision="c0 chat",
    )
    figures.show(picture, key="c0_chat_bars")
    text.show("lab_chat_says", times=times, name=NAME.strip(), inside=inside, fresh=fresh, before=before)
