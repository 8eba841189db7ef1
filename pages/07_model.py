"""Chapter 7: the model. All parts together: parameters, FLOPs, and what a larger model gains."""

import streamlit as st

from pages.labs import model
from pages.kit import annotated, book, claim, lab, links, quiz, related, words

book.header(__file__)
text = words.load("07_model")
book.objectives(text.read("can_do"))
model.finding.finding()

if book.part("analogy"):
    text.show("analogy")

if book.part("example"):
    model.example.worked_example()

if book.part("code"):
    text.show("code")
    model_tab, initialize_tab, flops_tab = annotated.tabs("GPT.__init__", "initialize", "forward_flops")
    with model_tab:
        annotated.code("model.GPT.__init__", key="c7_code_model")
    with initialize_tab:
        text.show("code_initialize")
        annotated.code("initialization.initialize", key="c7_code_initialise")
    with flops_tab:
        text.show("code_account")
        annotated.code("account.forward_flops", key="c7_code_flops")

if book.part("diagram"):
    model.diagram.flow()

if book.part("lab"):
    model.shape.published()
    if links.is_full_path():
        model.shape.costs()
        model.logit_lens.lens()
        model.scaling.scaling()
        st.subheader("More experiments", anchor=False)
        lab.folded_lab("c7_more_birth", text.read("lab_birth_title"), model.scaling.birth)

if book.part("measured"):
    text.show("measured")
    claim.cards("tying_saves", "heads_cost", "six_operations", "first_loss", "logits_largest", "fourth_size")

if book.part("check"):
    text.show("check", n=len(quiz.asked(model.quiz.questions(1))))
    quiz.cards(7, "07_model", model.quiz.questions)
    if links.is_full_path():
        text.show("check_exercise")
        quiz.exercise("within_budget", key="c7_exercise")

if book.part("deeper"):
    text.show("deeper")
    related.links(7)
book.footer(__file__)
