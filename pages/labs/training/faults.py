"""Chapter 8: runs that are broken on purpose, and the game of telling them by their curves."""

import functools
import random

import streamlit as st

from gptcore.config import PRESETS
from gptcore.runs.request import RunRequest
from pages.kit import claim, controls, curves, event_log, figures, lab, live, progress, session, words
from pages.kit.controls import Dial
from pages.kit.history import History

NAMES = (
    "looks ahead",
    "targets not shifted",
    "rate × 300",
    "tiny text",
    "gradients leak",
    "healthy",
)  # as `gptcore.training.faults.FAULTS` has them, the healthy run last
SEED = 1
CASES = 99
RUNS = "c8_fault_runs"  # in the session: the run of each fault and seed that was asked for
TOLD = "c8_case_told"  # and what the visitor said of each case
PROBLEM = "c8_fault_problem"


@st.fragment
def broken() -> None:
    """Faults that show at this size, run for real, and what the curves say of them."""
    text = words.load("08_training")
    with lab.frame("c8_fault", text.read("lab_fault_title")):
        n_parameters, heap = _numbers()
        text.show("lab_fault", parameters=n_parameters, heap=heap)
        fault = controls.listed(text.read("lab_fault_which"), "c8_fault_which", list(NAMES))
        explain(fault, text)
        watch(fault, SEED, "c8_fault", text)
        lab.predict(
            "c8_fault",
            text.read("lab_fault_predict"),
            (text.read("lab_fault_lowest"), text.read("lab_fault_healthy"), text.read("lab_fault_highest")),
            right=0,
            because=text.read("lab_fault_because"),
            then={"c8_fault_which": "targets not shifted"},
        )
        text.show("lab_fault_cannot")
        claim.cards("warm_up_saves", "clipping_saves")


@st.fragment
def game() -> None:
    """A fresh run with a fault that is not named: watch its curves, say what it is, and see."""
    text = words.load("08_training")
    with lab.frame("c8_case", text.read("lab_case_title")):
        text.show("lab_case")
        case = controls.whole(
            text.read("lab_case_which"), "c8_case_n", Dial("", 1, CASES, 1, text.read("lab_case_help")), 1
        )
        over = watch(hidden(case), case, "c8_case", text, named=False)
        told = st.session_state.get(TOLD, {}).get(case)
        said = st.radio(
            text.read("lab_case_ask"),
            NAMES,
            index=None if told is None else NAMES.index(told),
            key=f"c8_case_said_{case}",
            disabled=told is not None,
            horizontal=True,
        )
        if told is None:
            st.button(
                text.read("lab_case_tell"),
                key="c8_case_tell",
                icon=":material/gavel:",
                type="primary",
                disabled=said is None or not over,
                on_click=_tell,
                args=(case, said),
                help=text.read("lab_case_tell_help"),
            )
        else:
            _reveal(case, told, text)
        text.show("lab_case_score", right=_n_right(), told=_n_told())


def _numbers() -> tuple[int, float]:
    """The weights of the model that is broken, and the norm that only leaking gradients reach."""
    from gptcore.account import n_parameters
    from gptcore.training.faults import HEAP, SHAPE

    return n_parameters(PRESETS["nano"].model.replace(**SHAPE)), HEAP


def hidden(case: int) -> str:
    """What is wrong in a case: drawn by its number, the same for everybody, and healthy now and then."""
    return random.Random(f"case {case}").choice(NAMES)


def _tell(case: int, said: str) -> None:
    """Keep what a visitor says of a case; the first answer counts. For callbacks."""
    st.session_state[TOLD] = {**st.session_state.get(TOLD, {}), case: said}
    progress.tick(f"c8.case_{case}", *([f"c8.case_{case}_right"] if said == hidden(case) else []))


def _n_told() -> int:
    return sum(name.startswith("c8.case_") and not name.endswith("_right") for name in progress.passed())


def _n_right() -> int:
    return sum(name.startswith("c8.case_") and name.endswith("_right") for name in progress.passed())


def _reveal(case: int, told: str, text: words.Words) -> None:
    """What it was, the rule that tells it and the repair; and what the rule itself says of this run."""
    truth = hidden(case)
    if told == truth:
        st.success(text.read("lab_case_right", truth=truth), icon=":material/check:")
    else:
        st.info(text.read("lab_case_wrong", told=told, truth=truth), icon=":material/lightbulb:")
    explain(truth, text)
    if run := _run(truth, case):
        diagnosis(event_log.follow(run), truth, text)
    st.button(
        text.read("lab_case_next"),
        key="c8_case_next",
        icon=":material/arrow_forward:",
        on_click=_go_to,
        args=(case % CASES + 1,),
    )


def _go_to(case: int) -> None:
    st.session_state["c8_case_n"] = case


def explain(fault: str, text: words.Words) -> None:
    """What a fault is, how its curves tell, and the repair."""
    match fault:
        case "looks ahead":
            text.show("fault_ahead")
        case "targets not shifted":
            text.show("fault_shift")
        case "rate × 300":
            text.show("fault_rate")
        case "tiny text":
            text.show("fault_tiny")
        case "gradients leak":
            text.show("fault_leak")
        case _:
            text.show("fault_none")


def _run(fault: str, seed: int):
    return session.run_named(st.session_state.get(RUNS, {}).get((fault, seed)))


def watch(fault: str, seed: int, prefix: str, text: words.Words, *, named: bool = True) -> bool:
    """The button that starts a run with this fault, its curves while it trains; whether it is over.

    What is not `named` shows the command's result and never the command.
    """
    run = _run(fault, seed)
    alive = run is not None and session.is_under_way(run)
    st.button(
        text.read("lab_fault_start"),
        key=f"{prefix}_start",
        icon=":material/play_arrow:",
        disabled=alive,
        on_click=_start,
        args=(fault, seed, prefix),
        help=text.read("lab_fault_help"),
    )
    if problem := st.session_state.get(f"{prefix}_problem"):
        st.error(problem, icon=":material/error:")
    if run is not None:
        live.brief(run, prefix, functools.partial(_curves, prefix=prefix))
        if named and not alive:
            diagnosis(event_log.follow(run), fault, text)
    return run is not None and not alive


def _curves(history: History, prefix: str) -> None:
    """The two curves that the rule looks at: losses with their levels, and the gradient's norm."""
    for name, picture, column in zip(
        ("loss", "norm"),
        (curves.loss(history, height=300), curves.gradient_norm(history)),
        st.columns([3, 2], gap="large"),
    ):
        with column:
            st.plotly_chart(picture.figure, key=f"{prefix}_{name}", config=figures.CONFIG, alt=picture.alt)


def diagnosis(history: History, fault: str, text: words.Words) -> None:
    """What the rule of the page says of a finished run, with the numbers it looked at."""
    from gptcore.training.faults import Curves, diagnose

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
    found = diagnose(curves_of)
    text.show(
        "lab_fault_says",
        found=found,
        loss=history.loss[-1],
        val=history.val_loss[-1],
        best=min(history.val_loss),
        born=history.val_loss[0],
        uniform=curves_of.uniform,
        unigram=curves_of.unigram,
        floor=curves_of.floor or 0.0,
        norm=curves_of.last_norm,
    )
    if found != fault:
        text.show("lab_fault_not_yet")


def request_for(fault: str, seed: int) -> RunRequest:
    """A run with this fault: the one of which a long test asks the rule."""
    from gptcore.training import faults

    return RunRequest(steps=faults.STEPS, seed=seed, settings=faults.settings(fault))


def _start(fault: str, seed: int, prefix: str) -> None:
    """Ask for a run with this fault. For callbacks."""
    try:
        run = session.start_run(request_for(fault, seed), lab=True)
        st.session_state[RUNS] = {**st.session_state.get(RUNS, {}), (fault, seed): run.id}
        st.session_state[f"{prefix}_problem"] = None
    except (ValueError, OSError) as error:
        st.session_state[f"{prefix}_problem"] = str(error)
