"""Chapter 8: the learning-rate finder, a sweep over learning rates."""

import streamlit as st

from gptcore.config import PRESETS
from gptcore.training.rate_finder import GIVEN_UP, N_STEPS, SAFETY, SweepStep, suggest_rate
from pages.kit import controls, figures, lab, plots, words
from pages.labs.training import cached

EVERY_SECONDS = 0.8
OPTIMIZERS = ("muon", "adamw")
STARTED = "c8_sweep_asked"


@st.fragment
def rate_finder() -> None:
    """Sweep the learning rate over five powers of ten while a small model trains."""
    text = words.load("08_training")
    text.show("lab_sweep")
    optimizer = controls.choice(text.read("lab_sweep_optimizer"), "c8_sweep_optimizer", OPTIMIZERS)
    started = optimizer in st.session_state.get(STARTED, ())
    is_running = started and not cached.sweep(optimizer).is_done()
    buttons, status = st.columns([2, 3], gap="medium", vertical_alignment="center")
    with buttons.container(horizontal=True):
        st.button(
            text.read("lab_sweep_again") if started else text.read("lab_sweep_start"),
            key="c8_sweep_start",
            icon=":material/play_arrow:",
            disabled=is_running,
            on_click=_sweep,
            args=(optimizer, started),
        )
        st.button(
            text.read("lab_sweep_stop"),
            key="c8_sweep_stop",
            icon=":material/stop:",
            disabled=not is_running,
            on_click=cached.stop_sweep,
            args=(optimizer,),
        )
    if started:
        interval = EVERY_SECONDS if is_running else None
        with status:
            st.fragment(_progress, run_every=interval)(optimizer, is_running)
        st.fragment(_results, run_every=interval)(optimizer, is_running)
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
    st.session_state[STARTED] = {*st.session_state.get(STARTED, ()), optimizer}


def _progress(optimizer: str, was_running: bool) -> None:
    """Show how many learning rates have been tried; at the end, rerun the page to enable the button."""
    text, job = words.load("08_training"), cached.sweep(optimizer)
    is_running, n = not job.is_done(), len(job.reports)
    if (error := job.error()) and error.cause != "cancelled":
        st.error(text.read("lab_sweep_failed", reason=error), icon=":material/error:")
    message = text.read("lab_sweep_at", n=n) if n or not is_running else text.read("lab_sweep_starting")
    st.progress(n / N_STEPS if is_running else 1.0, text=message)
    if was_running and not is_running:
        st.rerun()


def _results(optimizer: str, is_running: bool) -> None:
    """Draw the loss against the learning rates tried so far; at the end, show the one that the rule suggests."""
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
            mark_x=None if is_running else rate,
            revision=f"c8_sweep_{optimizer}",
        )
        picture.figure.update_xaxes(range=[-5, 0.5], dtick=1, tickmode="linear", exponentformat="power")
        figures.show(picture, key="c8_sweep_curve")
        if not is_running:
            text.show(
                "lab_sweep_says",
                lowest=rate * SAFETY,
                share=SAFETY,
                rate=rate,
                last=tried[-1].rate,
                up=GIVEN_UP,
                preset=PRESETS["nano"].train.learning_rate,
            )
