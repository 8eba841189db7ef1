"""Chapter 8: the game of telling a fault by the curves of its run."""

import random

import streamlit as st

from pages.kit import controls, event_log, lab, progress, words
from pages.kit.controls import Dial
from pages.labs.training.faults import FAULT_NAMES, diagnosis, explain, fault_run, watch_run

CASES = 99
TOLD = "c8_case_told"  # and what the visitor said of each case


@st.fragment
def diagnosis_game() -> None:
    """A fresh run with a fault that is not named: watch its curves, say what it is, and see."""
    text = words.load("08_training")
    with lab.frame("c8_case", text.read("lab_case_title")):
        text.show("lab_case")
        case = controls.integer(
            text.read("lab_case_which"), "c8_case_n", Dial("", 1, CASES, 1, text.read("lab_case_help")), 1
        )
        over = watch_run(hidden_fault(case), case, "c8_case", text, named=False)
        told = st.session_state.get(TOLD, {}).get(case)
        said = st.radio(
            text.read("lab_case_ask"),
            FAULT_NAMES,
            index=None if told is None else FAULT_NAMES.index(told),
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
        progress.write_cookie("c8_case")


def hidden_fault(case: int) -> str:
    """What is wrong in a case: drawn by its number, the same for everybody, and healthy now and then."""
    return random.Random(f"case {case}").choice(FAULT_NAMES)


def _tell(case: int, said: str) -> None:
    """Keep what a visitor says of a case; the first answer counts. For callbacks."""
    st.session_state[TOLD] = {**st.session_state.get(TOLD, {}), case: said}
    progress.tick(f"c8.case_{case}", *([f"c8.case_{case}_right"] if said == hidden_fault(case) else []))


def _n_told() -> int:
    return sum(name.startswith("c8.case_") and not name.endswith("_right") for name in progress.passed())


def _n_right() -> int:
    return sum(name.startswith("c8.case_") and name.endswith("_right") for name in progress.passed())


def _reveal(case: int, told: str, text: words.Words) -> None:
    """What it was, the rule that tells it and the repair; and what the rule itself says of this run."""
    truth = hidden_fault(case)
    if told == truth:
        st.success(text.read("lab_case_right", truth=truth), icon=":material/check:")
    else:
        st.info(text.read("lab_case_wrong", told=told, truth=truth), icon=":material/lightbulb:")
    explain(truth, text)
    if run := fault_run(truth, case):
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
