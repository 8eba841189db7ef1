"""Chapter 8: runs that are broken on purpose, and what their curves say."""

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
RUNS = "c8_fault_runs"  # in the session: the id of each run started here, by fault and seed


@st.fragment
def faults_lab() -> None:
    """Faults that show at this size, run for real, and what the curves say of them."""
    text = words.load("08_training")
    with lab.frame("c8_fault", text.read("lab_fault_title")):
        n_parameters, heap = _numbers()
        text.show("lab_fault", parameters=n_parameters)
        with st.expander(text.read("lab_fault_rule_title"), icon=":material/rule:"):
            text.show("lab_fault_rule", heap=heap)
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
    """The weights of the model that is broken, and the norm that only leaking gradients reach."""
    return n_parameters(PRESETS["nano"].model.replace(**SHAPE)), ACCUMULATED_NORM


def explain(fault: str, text: words.Words) -> None:
    """What a fault is, how its curves tell, and the repair."""
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
    """The button that starts a run with this fault, its curves while it trains; whether it is over.

    What is not `named` shows the command's result and never the command.
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
    """The two curves that the rule looks at: losses with their levels, and the gradient's norm."""
    for name, picture, column in zip(
        ("loss", "norm"),
        (curves.loss(history, height=280), curves.gradient_norm(history)),
        st.columns([3, 2], gap="large"),
    ):
        with column:
            figures.show(picture, key=f"{prefix}_{name}")


def diagnosis(history: History, fault: str, text: words.Words) -> None:
    """What the rule of the page says of a finished run, with the numbers it looked at."""
    if not history.val_loss or history.start.get("unigram") is None:
        return
    curves_of = Curves(
        losses=history.loss,
        val_losses=history.val_loss,
        grad_norms=history.grad_norm,
        uniform=history.start["uniform"],
        unigram=history.start["unigram"],
        floor=history.start.get("floor"),
    )
    finding = diagnose(curves_of)
    text.show(
        "lab_fault_says",
        found=finding,
        loss=history.loss[-1],
        val=history.val_loss[-1],
        best=min(history.val_loss),
        born=history.val_loss[0],
        uniform=curves_of.uniform,
        unigram=curves_of.unigram,
        floor=curves_of.floor or 0.0,
        norm=curves_of.last_norm,
    )
    if finding != fault:
        text.show("lab_fault_not_yet")


def request_for(fault: str, seed: int) -> RunRequest:
    """A run with this fault: the one of which a long test asks the rule."""
    return RunRequest(steps=faults.STEPS, seed=seed, settings=faults.settings(fault))
