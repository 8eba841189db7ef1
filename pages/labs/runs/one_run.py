"""One run in full, with its owner's actions."""

import streamlit as st

from gptcore.runs.run import Run
from pages.kit import escape, links, live, session, visitor, words
from pages.kit.run_comparison import listed_run_label

_PROBLEM = "runs_problem"


def one_run() -> None:
    """The run of the link or of the list, live, with its owner's actions."""
    text = words.load("runs")
    choices = {run.id: run for run in [*session.my_runs(), *session.linked_runs()]}
    if not choices:
        return
    text.show("one")
    requested = links.sticky_value("run")
    # Set in each run of the page, so that a link, and back and forward in the browser, count.
    st.session_state["runs_one"] = requested if requested in choices else next(iter(choices))
    st.selectbox(
        "Run",
        list(choices),
        key="runs_one",
        format_func=lambda run_id: listed_run_label(choices[run_id]),
        on_change=_look,
    )
    run = choices[st.session_state["runs_one"]]
    live.run_view(run, "runs")
    if not run.is_under_way():
        live.use_or_download(run.id, "runs")
    if visitor.is_listed_for(run):
        _change(run)


def _look() -> None:
    run = session.run_named(st.session_state["runs_one"])
    if run is not None:  # a message may hold what the control never offered
        session.view_run(run.id)


def _change(run: "Run") -> None:
    """Give a run a name, or delete it."""
    name, rename, delete = st.columns([6, 2, 2], vertical_alignment="bottom")
    name.text_input("Name", run.name(), key=f"runs_name_{run.id}", max_chars=60)
    rename.button(
        "Rename",
        key="runs_rename",
        icon=":material/edit:",
        disabled=not visitor.owns(run),
        on_click=_rename,
        args=(run,),
        width="stretch",
    )
    delete.button(
        "Delete",
        key="runs_delete",
        icon=":material/delete:",
        disabled=run.is_under_way(),
        on_click=_delete,
        args=(run,),
        width="stretch",
        help="Removes the run and its model. If others requested the same run, it is only removed from your list.",
    )
    if problem := st.session_state.pop(_PROBLEM, None):
        st.error(escape.sentence(problem), icon=":material/error:")


def _rename(run: "Run") -> None:
    # A message may press the button and leave the name out.
    _try(session.rename_run, run, st.session_state.get(f"runs_name_{run.id}", run.name()))


def _delete(run: "Run") -> None:
    _try(session.delete_run, run)
    session.view_run(None)


def _try(act, *arguments) -> None:
    """Do a button's action; show an error under it if that fails."""
    try:
        act(*arguments)
    except (ValueError, OSError) as error:
        st.session_state[_PROBLEM] = str(error)
