"""Chapter 0: bet on the next word against the model."""

import math

import streamlit as st

from gptcore.stories.writer import write_story
from pages.kit import (
    chips,
    controls,
    forward,
    session,
    words,
)
from pages.kit.controls import Dial
from pages.kit.pronoun_story import storyteller
from pages.labs.overview import cached

FRESH = 950_000  # seeds of stories that no run has read
WORDS_BEFORE = 14


@st.fragment
def predict_next_token() -> None:
    """Bet on the next word of a story, and pay in nats beside the model, a table and a blind guess."""
    text = words.load("00_overview")
    text.show("lab_guess")
    model = storyteller()
    session.caption_other_model(model)
    dial = Dial("", 1, 20, 1, text.read("lab_guess_which_help"))
    which = controls.integer(text.read("lab_guess_which"), "c0_guess_story", dial, 1)
    pieces = write_story(FRESH + which).text.split(" ")
    place = WORDS_BEFORE + which % 5
    told, came = " ".join(pieces[:place]), pieces[place].strip('.,?!"')
    chips.strip(
        [chips.Chip(piece) for piece in pieces[:place]], key="c0_guess_text", label="The story so far"
    )
    top = forward.continuation(model, told, 1)[0][1]
    offered = sorted(
        {chips.visible(token).strip("␣") for token, _ in top if token.strip().isalpha()} | {came}
    )
    left, right = st.columns(2, gap="large")
    with left:
        bet = controls.dropdown(text.read("lab_guess_word"), "c0_guess_word", offered)
    with right:
        sure = controls.number(
            text.read("lab_guess_sure"), "c0_guess_p", 0.05, 0.95, 0.5, 0.05, text.read("lab_guess_sure_help")
        )
    if not controls.switch(text.read("lab_guess_show"), "c0_guess_show"):
        return
    vocabulary = model.config.vocab_size
    mine = sure if bet == came else (1 - sure) / (vocabulary - 1)
    piece = model.tokenizer.token_text(model.tokenizer.encode(" " + came)[0])
    theirs = forward.next_token_probabilities(model, told, (piece,))[0]
    counted = cached.following_words(pieces[place - 1].strip('.,?!"')).get(came, 0.0)
    never = text.read("lab_guess_never")
    text.show(
        "lab_guess_says",
        word=came,
        you=-math.log(mine),
        model=-math.log(max(theirs, 1e-12)),
        table=f"{-math.log(counted):.2f}" if counted else never,
        uniform=math.log(vocabulary),
        vocabulary=vocabulary,
    )
