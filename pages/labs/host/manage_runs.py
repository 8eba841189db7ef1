"""What the host may do to a run of anybody: stop it, take it out of the queue, delete it."""

from collections.abc import Callable

import streamlit as st

from gptcore.runs import queue
from gptcore.runs.run import Run, delete, list_runs
from pages.kit import escape, host_access, session, words

_SAID, _PROBLEM = "host_said", "host_problem"  # session state: what came of the last action


@st.fragment
def manage_runs() -> None:
    """Choose a run, and stop it or delete it; a deletion is confirmed."""
    text = words.load("host")
    text.show("actions")
    runs = {run.id: run for run in list_runs()}
    if runs:
        chosen = st.selectbox(
            text.read("run"),
            list(runs),
            key="host_run",
            format_func=lambda run_id: _label(runs[run_id]),
            width=520,
        )
        _buttons(chosen, text)
    else:
        st.caption(text.read("no_runs"))
    if said := st.session_state.get(_SAID):
        st.success(said, icon=":material/check:")
    if problem := st.session_state.get(_PROBLEM):
        st.error(escape.sentence(problem), icon=":material/error:")


def _buttons(run_id: str, text: words.Words) -> None:
    with st.container(horizontal=True):
        st.button(
            text.read("stop"),
            key="host_stop",
            icon=":material/stop:",
            help=text.read("stop_help"),
            on_click=_act,
            args=(stop, run_id),
        )
        with st.popover(text.read("delete"), icon=":material/delete:", help=text.read("delete_help")):
            text.show("delete_sure")
            st.button(
                text.read("delete_confirm"),
                key=f"host_delete_{run_id}",  # of this run: a press that comes late deletes no other
                type="primary",
                icon=":material/delete_forever:",
                on_click=_act,
                args=(remove, run_id),
            )


def _label(run: Run) -> str:
    owners = run.owners()
    owner = f", owner {owners[0][:8]}" if owners else ""
    return f"{session.run_label(run)}{owner}, {run.state()}"


def _act(act: Callable[[Run], str], run_id: str) -> None:
    """Do a button's action for a session that is admitted. For callbacks."""
    st.session_state[_SAID] = st.session_state[_PROBLEM] = None
    if not host_access.is_admitted():
        st.session_state[_PROBLEM] = words.load("host").read("not_admitted")
        return
    try:
        st.session_state[_SAID] = act(Run.by_id(run_id))
    except (ValueError, OSError) as error:
        st.session_state[_PROBLEM] = str(error)


def stop(run: Run) -> str:
    """Stop a run, or take it out of the queue, for all who asked for it; return what was done."""
    text = words.load("host")
    if run.state() == "waiting":
        for owner in run.owners():
            queue.withdraw(run, owner)
        return text.read("withdrawn", run=run.id)
    if not run.is_alive():
        return text.read("nothing_to_stop", run=run.id)
    run.stop()
    return text.read("stopped", run=run.id)


def remove(run: Run) -> str:
    """Delete a run; return what was done. Raises RunError while it trains."""
    delete(run)
    return words.load("host").read("deleted", run=run.id)
