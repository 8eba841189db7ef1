"""Chapter 10: the whole script. A run as a file of a hundred lines, and your own model class with our weights."""

import streamlit as st

from pages.labs import script
from pages.kit import annotated, book, claim, lab, links, quiz, related, words

book.header(__file__)
text = words.load("10_script")
book.objectives(text.read("can_do"))
script.finding.finding()

if book.part("analogy"):
    text.show("analogy")

if book.part("example"):
    script.example.worked_example()

if book.part("code"):
    text.show("code")
    write_tab, read_tab = annotated.tabs("write_model", "read_folder")
    with write_tab:
        annotated.code("checkpoint.write_model", key="c10_code_write")
    with read_tab:
        text.show("code_read")
        annotated.code("checkpoint.read_folder", key="c10_code_read")

if book.part("diagram"):
    script.diagram.flow()

if book.part("lab"):
    script.misread_config.misread_config()
    if links.is_full_path():
        script.same_seed.same_seed()
        script.tuning.tuning()
        st.subheader("More experiments", anchor=False)
        lab.folded_lab("c10_more_take", text.read("lab_take_title"), script.export.export_model)
        lab.folded_lab("c10_more_scale", text.read("lab_scale_title"), script.export.scale_up)

if book.part("measured"):
    text.show("measured")
    claim.cards("weights_alone", "same_seed", "base_follows", "beta_pushes", "double_quantisation")

if book.part("check"):
    text.show("check", n=len(quiz.asked(script.quiz.questions(1))))
    quiz.cards(10, "10_script", script.quiz.questions)
    if links.is_full_path():
        text.show("check_exercise")
        quiz.exercise("gpt", key="c10_exercise")

if book.part("deeper"):
    text.show("deeper")
    related.links(10)
book.footer(__file__)
