"""Several runs compared: losses, samples, and the settings in which they differ."""

from typing import Any

import streamlit as st

from gptcore.runs.run import Run, differences
from pages.kit import curves, escape, event_log, figures, links, session, visitor, words

COMPARE = "runs_compared"  # in the URL: the ids of the runs that are compared
AGAINST = tuple(curves.AGAINST)
MOST_COMPARED = 6


@st.fragment
def compare_runs() -> None:
    """Several runs: their losses in one figure, their different settings, their samples."""
    text = words.load("runs")
    choices = {run.id: run for run in [*session.my_runs(), *_asked_to_compare(), *session.linked_runs()]}
    if len(choices) < 2:
        return
    text.show("compare")
    requested = [
        run_id for run_id in links.read(COMPARE, links.Names(MOST_COMPARED), []) if run_id in choices
    ]
    if "runs_picked" not in st.session_state:
        st.session_state["runs_picked"] = requested[:MOST_COMPARED]
    else:  # a run may have been deleted meanwhile
        kept = [run_id for run_id in st.session_state["runs_picked"] if run_id in choices]
        st.session_state["runs_picked"] = kept
    picked = st.multiselect(
        "Runs to compare",
        list(choices),
        key="runs_picked",
        format_func=lambda run_id: listed_run_label(choices[run_id]),
        max_selections=MOST_COMPARED,
        placeholder="Choose at least two runs",
    )
    links.write(COMPARE, ",".join(picked), "")
    if len(picked) < 2:
        return
    bind = links.check("runs_against", links.Choice(AGAINST))
    against = st.segmented_control(
        "Horizontal axis", AGAINST, default=AGAINST[0], key="runs_against", bind=bind, required=True
    )
    runs = [choices[run_id] for run_id in picked]
    histories = {listed_run_label(run): event_log.read(run.folder) for run in runs}
    figure, alt = curves.comparison(histories, against=against)
    figures.show(figures.Picture(figure, alt), key="runs_comparison")
    _differences(runs, list(histories))
    for column, (label, history) in zip(st.columns(len(runs)), histories.items()):
        with column.container(height=220, border=True):
            st.caption(escape.markdown(label))
            if history.samples:
                st.text(history.samples[-1]["text"].strip() or "(only the end-of-text token)")


def listed_run_label(run: Run) -> str:
    """The label of a run, which says whether it was opened by a link."""
    return session.run_label(run) + ("" if visitor.is_listed_for(run) else " (from a link)")


def _asked_to_compare() -> "list[Run]":
    runs = [session.run_named(run_id) for run_id in links.asked(COMPARE, links.Names(MOST_COMPARED), [])]
    return [run for run in runs if run is not None]


def _differences(runs: "list[Run]", labels: list[str]) -> None:
    text = words.load("runs")
    different = differences(runs)
    if not different:
        st.caption(text.read("equal"))
        return
    st.dataframe(
        [
            {"Setting": field} | {label: _shown(value) for label, value in zip(labels, row)}
            for field, row in different.items()
        ],
        key="runs_differences",
        hide_index=True,
    )


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)
