"""Chapter 9: inference. From scores to a token, from token to text, and what a cache saves on the way."""

import streamlit as st

from pages.kit import annotated, book, claim, deeper, lab, quiz, words
from pages.labs import inference, inference_ahead, inference_beam, inference_cost, inference_quiz

book.header(__file__)
text = words.load("09_inference")
book.objectives(text.read("can_do"))
inference.finding()

if book.part("analogy", text):
    text.show("analogy")

if book.part("example", text):
    inference.worked_example()

if book.part("code", text):
    text.show("code")
    annotated.show("generation.distribution", key="c9_code_distribution")
    text.show("code_loop")
    annotated.show("generation.generate", key="c9_code_generate")
    text.show("code_cache")
    annotated.show("cache.KVCache.extend", key="c9_code_extend")

if book.part("diagram", text):
    inference.flow()

if book.part("lab", text):
    inference.two_lanes()
    inference.choose_and_write()
    inference_beam.tree()
    inference_ahead.guessing_ahead()
    st.subheader("More experiments", anchor=False)
    lab.more("c9_more_bytes", text.read("lab_bytes_title"), inference_cost.published)
    lab.more("c9_more_place", text.read("lab_place_title"), inference_cost.wrong_place)

if book.part("measured", text):
    text.show("measured")
    claim.show(
        "cache_speedup",
        "cache_alone",
        "cache_linear",
        "cache_approximates",
        "half_bytes",
        "speculative_3x",
        "speculative_here",
        "penalty_multiplies",
        "speculative_approximates",
    )

if book.part("check", text):
    text.show("check", n=len(inference_quiz.questions(1)))
    quiz.show(9, "09_inference", inference_quiz.questions)
    text.show("check_exercise")
    quiz.exercise("accept_or_resample", key="c9_exercise")

if book.part("deeper", text):
    text.show("deeper")
    deeper.show(9)
book.footer(__file__)
