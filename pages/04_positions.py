"""Chapter 4: positions. How a model knows the order of tokens, with positions and without."""

import streamlit as st

from pages.labs import positions
from pages.kit import annotated, book, claim, lab, links, quiz, related, words

book.header(__file__)
text = words.load("04_positions")
book.objectives(text.read("can_do"))
positions.finding.queries_and_keys()
positions.finding.finding()

if book.part("analogy"):
    text.show("analogy")

if book.part("example"):
    positions.example.worked_example()

if book.part("code"):
    text.show("code")
    frequencies_tab, table_tab, apply_tab = annotated.tabs("inverse_frequencies", "rope_table", "apply_rope")
    with frequencies_tab:
        annotated.code("positions.inverse_frequencies", key="c4_code_frequencies")
    with table_tab:
        annotated.code("positions.rope_table", key="c4_code_table")
    with apply_tab:
        text.show("code_apply")
        annotated.code("positions.apply_rope", key="c4_code_apply")

if book.part("diagram"):
    positions.diagram.flow()

if book.part("lab"):
    positions.relative_score.relative_score()
    if links.is_full_path():
        positions.frequencies.frequencies()
        positions.extrapolation.extrapolation()
        positions.order.order()
        st.subheader("More experiments", anchor=False)
        lab.folded_lab("c4_more_lean", text.read("lab_lean_title"), positions.head_offsets.head_offsets)
        lab.folded_lab("c4_more_pairs", text.read("lab_pairs_title"), positions.pairings.pairings)

if book.part("measured"):
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

if book.part("check"):
    text.show("check", n=len(quiz.asked(positions.quiz.questions(1))))
    quiz.cards(4, "04_positions", positions.quiz.questions)
    if links.is_full_path():
        text.show("check_exercise")
        quiz.exercise("neighbour_pairs", key="c4_exercise")

if book.part("deeper"):
    text.show("deeper")
    related.links(4)
book.footer(__file__)
