"""Chapter 1: set up. A model of two weights learns by hand, and this machine says what it can do."""

import streamlit as st

from pages.labs import setup
from pages.kit import annotated, book, lab, links, quiz, related, words

book.header(__file__)
text = words.load("01_setup")
book.objectives(text.read("can_do"))
setup.finding.finding()

if book.part("analogy"):
    text.show("analogy")

if book.part("example"):
    setup.example.worked_example()
    setup.machine.machine()

if book.part("code"):
    text.show("code")
    line_tab, descend_tab, lines_tab, device_tab, precisions_tab, autocast_tab = annotated.tabs(
        "LinearModel", "descend", "LinearLayer", "pick_device", "precisions", "autocast"
    )
    with line_tab:
        annotated.code("lessons.line_fit.LinearModel", key="c1_code_line")
    with descend_tab:
        annotated.code("lessons.line_fit.descend", key="c1_code_descend")
    with lines_tab:
        text.show("code_layer")
        annotated.code("lessons.line_fit.LinearLayer", key="c1_code_lines")
    with device_tab:
        text.show("code_device")
        annotated.code("training.devices.pick_device", key="c1_code_device")
    with precisions_tab:
        annotated.code("training.devices.precisions", key="c1_code_precisions")
    with autocast_tab:
        annotated.code("training.devices.autocast", key="c1_code_autocast")

if book.part("diagram"):
    setup.diagram.flow()

if book.part("lab"):
    setup.learning_rate.one_knob()
    if links.is_full_path():
        setup.shapes.playground()
        setup.timing.how_long()
        st.subheader("More experiments", anchor=False)
        lab.folded_lab("c1_more_few", text.read("lab_few_title"), setup.few_points.too_few_points)
        lab.folded_lab("c1_more_bits", text.read("lab_bits_title"), setup.shapes.bits)

if book.part("measured"):
    setup.timing.measured()

if book.part("check"):
    text.show("check", n=len(quiz.asked(setup.quiz.questions(1))))
    quiz.cards(1, "01_setup", setup.quiz.questions)
    if links.is_full_path():
        text.show("check_exercise")
        quiz.exercise("numeric_gradient", key="c1_exercise")

if book.part("deeper"):
    text.show("deeper")
    related.links(1)
book.footer(__file__)
