"""Chapter 8: runs that are broken on purpose, and the diagnosis of their curves."""

import functools

import streamlit as st

from gptcore.account import n_parameters
from gptcore.config import PRESETS
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run
from gptcore.training import faults
from gptcore.training.faults import ACCUMULATED_NORM, SHAPE, Curves, diagnose
from pages.kit import claim, controls, curves, event_log, figures, lab, lab_runs, words
from pages.kit.history import History

FAULT_NAMES = (
    "no causal mask",
    "targets not shifted",
    "learning rate × 300",
    "tiny text",
    "gradients leak",
    "healthy",
)  # as `gptcore.training.faults.FAULTS` has them, the healthy run last
SEED = 1
RUNS = "c8_fault_runs"  # session state: the id of each run started here, by fault and seed


@st.fragment
def faults_lab() -> None:
    """Show the faults that are visible at this size, train each one, and diagnose its curves."""
    text = words.load("08_training")
    with lab.frame("c8_fault", text.read("lab_fault_title")):
        n_weights, accumulated_norm = _numbers()
        text.show("lab_fault", parameters=n_weights)
        with st.expander(text.read("lab_fault_rule_title"), icon=":material/rule:"):
            text.show("lab_fault_rule", heap=accumulated_norm)
        fault = controls.dropdown(text.read("lab_fault_which"), "c8_fault_which", list(FAULT_NAMES))
        explain(fault, text)
        watch_run(fault, SEED, "c8_fault", text)
        lab.predict(
            "c8_fault",
            text.read("lab_fault_predict"),
            (text.read("lab_fault_lowest"), text.read("lab_fault_healthy"), text.read("lab_fault_highest")),
            right=0,
            because=text.read("lab_fault_because"),
            then={"c8_fault_which": "targets not shifted"},
        )
        with st.expander(text.read("lab_fault_cannot_title"), icon=":material/visibility_off:"):
            text.show("lab_fault_cannot")
            claim.cards("warm_up_saves", "clipping_saves")


def _numbers() -> tuple[int, float]:
    """The number of parameters of the broken models, and the gradient norm that only leaking gradients reach."""
    return n_parameters(PRESETS["nano"].model.replace(**SHAPE)), ACCUMULATED_NORM


def explain(fault: str, text: words.Words) -> None:
    """Explain a fault, its signs in the curves, and the fix."""
    match fault:
        case "no causal mask":
            text.show("fault_ahead")
        case "targets not shifted":
            text.show("fault_shift")
        case "learning rate × 300":
            text.show("fault_rate")
        case "tiny text":
            text.show("fault_tiny")
        case "gradients leak":
            text.show("fault_leak")
        case _:
            text.show("fault_none")


def fault_run(fault: str, seed: int) -> Run | None:
    """The run of a fault and seed that was started in this visit, or None."""
    return lab_runs.started_runs(RUNS).get((fault, seed))


def watch_run(fault: str, seed: int, prefix: str, text: words.Words, *, named: bool = True) -> bool:
    """Show the button that trains a run with this fault, and its curves; return whether the run is finished.

    If not `named`, the diagnosis, which would reveal the fault, is left out.
    """
    run = lab_runs.train(
        prefix,
        text.read("lab_fault_start"),
        lambda: request_for(fault, seed),
        key=f"{prefix}_start",
        help=text.read("lab_fault_help"),
        store=RUNS,
        name=(fault, seed),
        draw=functools.partial(_curves, prefix=prefix),
    )
    if run is not None and named:
        diagnosis(event_log.follow(run), fault, text)
    return run is not None


def _curves(history: History, prefix: str) -> None:
    """Draw the two charts that the rule uses: losses with their reference lines, and the gradient norm."""
    for name, picture, column in zip(
        ("loss", "norm"),
        (curves.loss(history, height=280), curves.gradient_norm(history)),
        st.columns([3, 2], gap="large"),
    ):
        with column:
            figures.show(picture, key=f"{prefix}_{name}")


def diagnosis(history: History, fault: str, text: words.Words) -> None:
    """Show the rule's diagnosis of a finished run, with the numbers it used."""
    if not history.val_loss or history.start.get("unigram") is None:
        return
    run_curves = Curves(
        losses=history.loss,
        val_losses=history.val_loss,
        grad_norms=history.grad_norm,
        uniform=history.start["uniform"],
        unigram=history.start["unigram"],
        floor=history.start.get("floor"),
    )
    diagnosed = diagnose(run_curves)
    text.show(
        "lab_fault_says",
        found=diagnosed,
        loss=history.loss[-1],
        val=history.val_loss[-1],
        best=min(history.val_loss),
        born=history.val_loss[0],
        uniform=run_curves.uniform,
        unigram=run_curves.unigram,
        floor=run_curves.floor or 0.0,
        norm=run_curves.last_norm,
    )
    if diagnosed != fault:
        text.show("lab_fault_not_yet")


def request_for(fault: str, seed: int) -> RunRequest:
    """The request for a run with this fault."""
    return RunRequest(steps=faults.STEPS, seed=seed, settings=faults.settings(fault))
