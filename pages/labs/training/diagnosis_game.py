"""Chapter 8: a game in which you diagnose a fault from the curves of its run."""

import random

import streamlit as st

from pages.kit import controls, event_log, lab, progress, words
from pages.kit.controls import Dial
from pages.labs.training.faults import FAULT_NAMES, diagnosis, explain, fault_run, watch_run

CASES = 99
ANSWERS = "c8_case_told"  # session state: the diagnosis that the visitor submitted for each case


@st.fragment
def diagnosis_game() -> None:
    """Train a run with an unnamed fault, let the visitor choose a diagnosis, and show the answer."""
    text = words.load("08_training")
    with lab.frame("c8_case", text.read("lab_case_title")):
        text.show("lab_case")
        case = controls.integer(
            text.read("lab_case_which"), "c8_case_n", Dial("", 1, CASES, 1, text.read("lab_case_help")), 1
        )
        is_finished = watch_run(hidden_fault(case), case, "c8_case", text, named=False)
        submitted = st.session_state.get(ANSWERS, {}).get(case)
        chosen = st.radio(
            text.read("lab_case_ask"),
            FAULT_NAMES,
            index=None if submitted is None else FAULT_NAMES.index(submitted),
            key=f"c8_case_said_{case}",
            disabled=submitted is not None,
            horizontal=True,
        )
        if submitted is None:
            st.button(
                text.read("lab_case_tell"),
                key="c8_case_tell",
                icon=":material/gavel:",
                type="primary",
                disabled=chosen is None or not is_finished,
                on_click=_submit,
                args=(case, chosen),
                help=text.read("lab_case_tell_help"),
            )
        else:
            _reveal(case, submitted, text)
        text.show("lab_case_score", right=_n_right(), told=_n_answered())
        progress.write_cookie("c8_case")


def hidden_fault(case: int) -> str:
    """Return the fault of a case, drawn by its number: the same for everyone, and sometimes none."""
    return random.Random(f"case {case}").choice(FAULT_NAMES)


def _submit(case: int, diagnosed: str) -> None:
    """Save the visitor's diagnosis of a case; the first one counts. For callbacks."""
    st.session_state[ANSWERS] = {**st.session_state.get(ANSWERS, {}), case: diagnosed}
    progress.tick(f"c8.case_{case}", *([f"c8.case_{case}_right"] if diagnosed == hidden_fault(case) else []))


def _n_answered() -> int:
    return sum(name.startswith("c8.case_") and not name.endswith("_right") for name in progress.passed())


def _n_right() -> int:
    return sum(name.startswith("c8.case_") and name.endswith("_right") for name in progress.passed())


def _reveal(case: int, submitted: str, text: words.Words) -> None:
    """Show the fault, its signs and its fix, and the rule's diagnosis of this run."""
    truth = hidden_fault(case)
    if submitted == truth:
        st.success(text.read("lab_case_right", truth=truth), icon=":material/check:")
    else:
        st.info(text.read("lab_case_wrong", told=submitted, truth=truth), icon=":material/lightbulb:")
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
