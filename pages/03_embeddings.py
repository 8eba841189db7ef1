"""Chapter 3: embeddings. A row of numbers for each token, and what training does to the rows."""

import streamlit as st

from pages.labs import embeddings
from pages.kit import annotated, book, claim, lab, links, quiz, related, words

book.header(__file__)
text = words.load("03_embeddings")
book.objectives(text.read("can_do"))
embeddings.finding.finding()

if book.part("analogy"):
    text.show("analogy")

if book.part("example"):
    embeddings.example.worked_example()
    embeddings.one_step.one_step()

if book.part("code"):
    text.show("code")
    table_tab, tying_tab, analogy_tab = annotated.tabs("Embedding", "GPT.__init__", "analogy")
    with table_tab:
        annotated.code("initialization.Embedding", key="c3_code_table")
    with tying_tab:
        text.show("code_tying")
        annotated.code("model.GPT.__init__", key="c3_code_tying")
    with analogy_tab:
        text.show("code_analogy")
        annotated.code("interpret.embedding_table.analogy", key="c3_code_analogy")

if book.part("diagram"):
    embeddings.diagram.flow()

if book.part("lab"):
    embeddings.word_map.word_map()
    if links.is_full_path():
        embeddings.neighbors.neighbors()
        embeddings.analogies.analogies()
        embeddings.unused_rows.unused_rows()
        st.subheader("More experiments", anchor=False)
        lab.folded_lab("c3_more_turn", text.read("lab_turn_title"), embeddings.rotation.rotated_table)
        lab.folded_lab("c3_more_scale", text.read("lab_length_title"), embeddings.row_norms.row_norms)

if book.part("measured"):
    text.show("measured")
    claim.cards(
        "king_minus_man",
        "a_step_moves_what_it_saw",
        "a_dimension_means",
        "near_on_the_map",
        "unused_rows_stay",
        "gpt2_scales",
    )

if book.part("check"):
    text.show("check", n=len(quiz.asked(embeddings.quiz.questions(1))))
    quiz.cards(3, "03_embeddings", embeddings.quiz.questions)
    if links.is_full_path():
        text.show("check_exercise")
        quiz.exercise("embedding_backward", key="c3_exercise")

if book.part("deeper"):
    text.show("deeper")
    related.links(3)
book.footer(__file__)
