"""Chapter 4: positions. How a model knows where a token stands, and what it knows without being told."""

import streamlit as st

from pages.labs import positions
from pages.kit import annotated, book, claim, lab, quiz, related, words

book.header(__file__)
text = words.load("04_positions")
book.objectives(text.read("can_do"))
positions.finding.queries_and_keys()
positions.finding.finding()

if book.part("analogy", text):
    text.show("analogy")

if book.part("example", text):
    positions.example.worked_example()

if book.part("code", text):
    text.show("code")
    annotated.code("positions.inverse_frequencies", key="c4_code_frequencies")
    annotated.code("positions.rope_table", key="c4_code_table")
    text.show("code_apply")
    annotated.code("positions.apply_rope", key="c4_code_apply")

if book.part("diagram", text):
    positions.diagram.flow()

if book.part("lab", text):
    positions.relative_score.relative_score()
    positions.frequencies.frequencies()
    positions.extrapolation.extrapolation()
    positions.order.order()
    st.subheader("More experiments", anchor=False)
    lab.folded_lab("c4_more_lean", text.read("lab_lean_title"), positions.head_offsets.head_offsets)
    lab.folded_lab("c4_more_pairs", text.read("lab_pairs_title"), positions.pairings.pairings)

if book.part("measured", text):
    text.show("measured")
    claim.cards(
        "distance_alone",
        "any_length",
        "linear_extends",
        "ntk_extends",
        "higher_base",
        "no_order",
        "positions_trained",
    )

if book.part("check", text):
    text.show("check", n=len(positions.quiz.questions(1)))
    quiz.cards(4, "04_positions", positions.quiz.questions)
    text.show("check_exercise")
    quiz.exercise("neighbour_pairs", key="c4_exercise")

if book.part("deeper", text):
    text.show("deeper")
    related.links(4)
book.footer(__file__)
