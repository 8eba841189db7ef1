"""Chapter 11: glossary and questions. Every term with a computed picture, and false sentences to find."""

import streamlit as st

from pages.labs import glossary
from pages.kit import annotated, book, claim, lab, links, quiz, related, words

book.header(__file__)
text = words.load("11_glossary")
book.objectives(text.read("can_do"))
glossary.finding.finding()

if book.part("analogy"):
    text.show("analogy")

if book.part("example"):
    glossary.example.worked_example()

if book.part("code"):
    text.show("code")
    annotated.code("account.summands", key="c11_code_summands")

if book.part("diagram"):
    glossary.diagram.flow()

if book.part("lab"):
    glossary.game.game()
    if links.is_full_path():
        glossary.terms.terms()
        glossary.provenance.who_uses_what()
        glossary.faq.faq()
        st.subheader("More experiments", anchor=False)
        lab.folded_lab("c11_more_formulas", text.read("lab_formulas_title"), glossary.formulas.formulas)
        lab.folded_lab("c11_more_origins", text.read("lab_origins_title"), glossary.provenance.origins)

if book.part("measured"):
    text.show("measured")
    claim.cards("llama_style_is_one", "two_thirds_feedforward", "base_follows")

if book.part("check"):
    text.show("check", n=len(quiz.asked(glossary.quiz.questions(1))))
    quiz.cards(11, "11_glossary", glossary.quiz.questions)
    if links.is_full_path():
        text.show("check_exercise")
        quiz.exercise("five_estimates", key="c11_exercise")

if book.part("deeper"):
    text.show("deeper")
    related.links(11)
book.footer(__file__)
