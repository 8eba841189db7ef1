"""Chapter 9: inference. From logits to a token, from token to text, and what a cache saves on the way."""

import streamlit as st

from pages.labs import inference
from pages.kit import annotated, book, claim, lab, links, quiz, related, words

book.header(__file__)
text = words.load("09_inference")
book.objectives(text.read("can_do"))
inference.finding.finding()

if book.part("analogy"):
    text.show("analogy")

if book.part("example"):
    inference.example.worked_example()

if book.part("code"):
    text.show("code")
    distribution_tab, generate_tab, extend_tab = annotated.tabs("distribution", "generate", "KVCache.extend")
    with distribution_tab:
        annotated.code("generation.sampling.distribution", key="c9_code_distribution")
    with generate_tab:
        text.show("code_loop")
        annotated.code("generation.sampling.generate", key="c9_code_generate")
    with extend_tab:
        text.show("code_cache")
        annotated.code("cache.KVCache.extend", key="c9_code_extend")

if book.part("diagram"):
    inference.diagram.flow()

if book.part("lab"):
    inference.two_lanes.cache_race()
    if links.is_full_path():
        inference.sampling.choose_and_write()
        inference.beam.tree()
        inference.speculative.speculative_decoding()
        st.subheader("More experiments", anchor=False)
        lab.folded_lab("c9_more_bytes", text.read("lab_bytes_title"), inference.cost.published)
        lab.folded_lab("c9_more_place", text.read("lab_place_title"), inference.cost.wrong_positions)

if book.part("measured"):
    text.show("measured")
    claim.cards(
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

if book.part("check"):
    text.show("check", n=len(quiz.asked(inference.quiz.questions(1))))
    quiz.cards(9, "09_inference", inference.quiz.questions)
    if links.is_full_path():
        text.show("check_exercise")
        quiz.exercise("accept_or_resample", key="c9_exercise")

if book.part("deeper"):
    with st.expander(text.read("deeper_title"), icon=":material/school:"):
        text.show("deeper_more")
    text.show("deeper")
    related.links(9)
book.footer(__file__)
