"""Chapter 0: what a GPT is. A model writes a story before anything is explained."""

import sys
import time

import streamlit as st

from pages.kit import book, words

row = book.header(__file__, titled=False)
text = words.load("00_overview")
text.show("hook")

# The first words leave for the browser here: importing torch holds the interpreter's lock, and the server's thread
# that sends them would wait for it. On a fresh server a visitor reads them meanwhile.
if "torch" not in sys.modules:
    time.sleep(0.1)
from pages.labs import overview  # noqa: E402
from pages.kit import annotated, claim, lab, links, quiz, related  # noqa: E402

# The finding of this chapter comes first: swap the name, and the predicted pronoun follows.
overview.finding.pronoun_swap()
overview.train.train_here()
st.divider()

book.title(row)
book.objectives(text.read("can_do"))

if book.part("analogy"):
    text.show("analogy")

if book.part("example"):
    text.show("example")
    overview.example.one_prediction()

if book.part("code"):
    text.show("code")
    carry_tab, forward_tab = annotated.tabs("GPT.forward_hidden", "GPT.forward")
    with carry_tab:
        annotated.code("model.GPT.forward_hidden", key="c0_code_carry")
    with forward_tab:
        annotated.code("model.GPT.forward", key="c0_code_forward")

if book.part("diagram"):
    overview.diagram.flow()

if book.part("lab"):
    overview.continuations.continuations()
    if links.is_full_path():
        overview.out_of_domain.outside()
        overview.over_training.when_it_knows()
        st.subheader("More experiments", anchor=False)
        lab.folded_lab("c0_more_chat", text.read("lab_chat_title"), overview.chat.chat)
        lab.folded_lab("c0_more_guess", text.read("lab_guess_title"), overview.bet.predict_next_token)

if book.part("measured"):
    text.show("measured")
    claim.cards("looks_up", "learns_while_chatting", "sure_is_right", "only_counts", "untrained_even")

if book.part("check"):
    text.show("check", n=len(quiz.asked(overview.quiz.questions(1))))
    quiz.cards(0, "00_overview", overview.quiz.questions)
    if links.is_full_path():
        text.show("check_exercise")
        quiz.exercise("mean_surprise", key="c0_exercise")

if book.part("deeper"):
    text.show("deeper")
    related.links(0)
book.footer(__file__)
