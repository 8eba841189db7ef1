"""Chapter 8: training. Train a model here, watch in which order it learns, and break it on purpose."""

import streamlit as st

from pages.labs import training
from pages.kit import annotated, book, claim, lab, links, quiz, related, words

book.header(__file__)
text = words.load("08_training")
book.objectives(text.read("can_do"))
training.finding.finding()

if book.part("analogy"):
    text.show("analogy")

if book.part("example"):
    training.example.worked_example()

if book.part("code"):
    text.show("code")
    rate_tab, step_tab = annotated.tabs("learning_rate", "train_step")
    with rate_tab:
        annotated.code("training.optim.learning_rate", key="c8_code_rate")
    with step_tab:
        text.show("code_step")
        annotated.code("training.loop.train_step", key="c8_code_step")

if book.part("diagram"):
    training.diagram.flow()

if book.part("lab"):
    training.train.train_here()
    training.train.use_own_run()
    if links.is_full_path():
        training.time_machine.time_machine()
        training.faults.faults_lab()
        training.diagnosis_game.diagnosis_game()
        st.subheader("More experiments", anchor=False)
        lab.folded_lab("c8_more_sweep", text.read("lab_sweep_title"), training.rate_finder.rate_finder)
        lab.folded_lab("c8_more_batch", text.read("lab_batch_title"), training.batch_size.batch_size)
        lab.folded_lab("c8_more_precision", text.read("lab_precision_title"), training.precision.precision)
        lab.folded_lab("c8_more_compare", text.read("lab_compare_title"), training.train.compare_my_runs)

if book.part("measured"):
    text.show("measured")
    claim.cards("unigram_level", "decay_is_l2", "adamw_trains_better", "perplexity_vocabulary")

if book.part("check"):
    text.show("check", n=len(quiz.asked(training.quiz.questions(1))))
    quiz.cards(8, "08_training", training.quiz.questions)
    if links.is_full_path():
        text.show("check_exercise")
        quiz.exercise("unequal_parts", key="c8_exercise")

if book.part("deeper"):
    text.show("deeper")
    related.links(8)
book.footer(__file__)
