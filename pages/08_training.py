"""Chapter 8: training. Train a model here, and watch in which order it learns."""

import math

import streamlit as st

from pages.kit import book, controls, curves, figures, live, session, words
from pages.labs import training

book.header(__file__)
text = words.load("08_training")

text.show("can_do")

# One finding, for a reader who only scrolls, from the run that made the shipped model.
shipped = session.shipped_history()
gains = curves.late_gains(shipped)
if gains is None:
    text.show("no_finding")
else:
    text.show(
        "finding",
        step=gains.step,
        grammar=gains.grammar,
        loss_moved=gains.loss_moved,
        loss_all=gains.loss_all,
        names_then=gains.names_then,
        names_now=gains.names_now,
    )
    figure, alt = curves.finding(shipped)
    st.plotly_chart(figure, key="c8_finding", config=figures.CONFIG, alt=alt)

text.show("analogy")

text.show("surprise")
p = controls.decimal(
    "Probability p of the word that came", "c8_p", 0.005, 1.0, 0.45, 0.005, "From the model."
)
vocabulary = training.NANO.vocab_size
text.show(
    "surprise_result",
    p=p,
    nats=-math.log(p),
    sides=1 / p,
    vocabulary=vocabulary,
    uniform=math.log(vocabulary),
)

text.show("lab")
training.train_here()

run = session.run_on_view()
if run is not None:
    text.show("own_run")
    live.view(run, "c8")
    training.keep(run.id)
elif shipped.start:
    text.show("shipped_run")
    live.shipped_view("c8")

text.show("look")
text.show("next")
book.footer(__file__)
