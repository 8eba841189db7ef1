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

UNSEEN_SEED = 950_000  # stories with this seed and higher ones are in no training data
WORDS_BEFORE = 14


@st.fragment
def predict_next_token() -> None:
    """Bet on the next word of a story; compare your loss with the model's, a bigram table's and a uniform guess's."""
    text = words.load("00_overview")
    text.show("lab_guess")
    model = storyteller()
    session.caption_other_model(model)
    dial = Dial("", 1, 20, 1, text.read("lab_guess_which_help"))
    story_number = controls.integer(text.read("lab_guess_which"), "c0_guess_story", dial, 1)
    story_words = write_story(UNSEEN_SEED + story_number).text.split(" ")
    n_before = WORDS_BEFORE + story_number % 5
    story_so_far, actual_word = " ".join(story_words[:n_before]), story_words[n_before].strip('.,?!"')
    chips.strip(
        [chips.Chip(word) for word in story_words[:n_before]], key="c0_guess_text", label="The story so far"
    )
    top = forward.continuation(model, story_so_far, 1)[0][1]
    options = sorted(
        {chips.visible(token).strip("␣") for token, _ in top if token.strip().isalpha()} | {actual_word}
    )
    left, right = st.columns(2, gap="large")
    with left:
        chosen_word = controls.dropdown(text.read("lab_guess_word"), "c0_guess_word", options)
    with right:
        confidence = controls.number(
            text.read("lab_guess_sure"), "c0_guess_p", 0.05, 0.95, 0.5, 0.05, text.read("lab_guess_sure_help")
        )
    if not controls.switch(text.read("lab_guess_show"), "c0_guess_show"):
        return
    vocabulary = model.config.vocab_size
    own_probability = confidence if chosen_word == actual_word else (1 - confidence) / (vocabulary - 1)
    actual_token = model.tokenizer.token_text(model.tokenizer.encode(" " + actual_word)[0])
    model_probability = forward.next_token_probabilities(model, story_so_far, (actual_token,))[0]
    bigram_probability = cached.following_words(story_words[n_before - 1].strip('.,?!"')).get(
        actual_word, 0.0
    )
    infinite = text.read("lab_guess_never")
    text.show(
        "lab_guess_says",
        word=actual_word,
        you=-math.log(own_probability),
        model=-math.log(max(model_probability, 1e-12)),
        table=f"{-math.log(bigram_probability):.2f}" if bigram_probability else infinite,
        uniform=math.log(vocabulary),
        vocabulary=vocabulary,
    )
