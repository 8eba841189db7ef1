"""Chapter 8: a learning rate found by a sweep."""

import streamlit as st

from gptcore.config import PRESETS
from gptcore.training.rate_finder import GIVEN_UP, N_STEPS, SAFETY, SweepStep, suggest_rate
from pages.kit import controls, figures, lab, plots, words
from pages.labs.training import cached

EVERY_SECONDS = 0.8
OPTIMIZERS = ("muon", "adamw")
ASKED = "c8_sweep_asked"


@st.fragment
def rate_finder() -> None:
    """Sweep the rate over five powers of ten while a copy of a small model trains."""
    text = words.load("08_training")
    text.show("lab_sweep")
    optimizer = controls.choice(text.read("lab_sweep_optimizer"), "c8_sweep_optimizer", OPTIMIZERS)
    asked = optimizer in st.session_state.get(ASKED, ())
    going = asked and not cached.sweep(optimizer).is_done()
    buttons, beside = st.columns([2, 3], gap="medium", vertical_alignment="center")
    with buttons.container(horizontal=True):
        st.button(
            text.read("lab_sweep_again") if asked else text.read("lab_sweep_start"),
            key="c8_sweep_start",
            icon=":material/play_arrow:",
            disabled=going,
            on_click=_sweep,
            args=(optimizer, asked),
        )
        st.button(
            text.read("lab_sweep_stop"),
            key="c8_sweep_stop",
            icon=":material/stop:",
            disabled=not going,
            on_click=cached.stop_sweep,
            args=(optimizer,),
        )
    if asked:
        every = EVERY_SECONDS if going else None
        with beside:
            st.fragment(_progress, run_every=every)(optimizer, going)
        st.fragment(_swept, run_every=every)(optimizer, going)
    lab.predict(
        "c8_sweep",
        text.read("lab_sweep_predict"),
        (text.read("lab_sweep_same"), text.read("lab_sweep_muon"), text.read("lab_sweep_adamw")),
        right=0,
        because=text.read("lab_sweep_because"),
        then={"c8_sweep_optimizer": "adamw"},
    )


def _sweep(optimizer: str, again: bool) -> None:
    """Start a sweep, or restart it. For callbacks."""
    if again:
        cached.forget_sweep(optimizer)
    st.session_state[ASKED] = {*st.session_state.get(ASKED, ()), optimizer}


def _progress(optimizer: str, was_going: bool) -> None:
    """How many rates are tried; one run of the page at the end frees the button."""
    text, job = words.load("08_training"), cached.sweep(optimizer)
    going, n = not job.is_done(), len(job.reports)
    if (error := job.error()) and error.cause != "cancelled":
        st.error(text.read("lab_sweep_failed", reason=error), icon=":material/error:")
    told = text.read("lab_sweep_at", n=n) if n or not going else text.read("lab_sweep_starting")
    st.progress(n / N_STEPS if going else 1.0, text=told)
    if was_going and not going:
        st.rerun()


def _swept(optimizer: str, going: bool) -> None:
    """The loss against the rate, as far as rates are tried; at the end the rate that the rule suggests."""
    text, job = words.load("08_training"), cached.sweep(optimizer)
    tried = [SweepStep(**report) for report in job.reports]
    if tried:
        rate = suggest_rate(tried)
        picture = plots.curves(
            [step.rate for step in tried],
            {"each step": [step.loss for step in tried], "smoothed": [step.smooth for step in tried]},
            x_title="learning rate",
            y_title="loss (nats per token)",
            log_x=True,
            mark_x=None if going else rate,
            revision=f"c8_sweep_{optimizer}",
        )
        picture.figure.update_xaxes(range=[-5, 0.5], dtick=1, tickmode="linear", exponentformat="power")
        figures.show(picture, key="c8_sweep_curve")
        if not going:
            text.show(
                "lab_sweep_says",
                lowest=rate * SAFETY,
                share=SAFETY,
                rate=rate,
                last=tried[-1].rate,
                up=GIVEN_UP,
                preset=PRESETS["nano"].train.learning_rate,
            )
