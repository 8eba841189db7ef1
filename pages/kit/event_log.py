"""The event logs of runs as curves: one that still grows, or one as it is now."""

from pathlib import Path

import streamlit as st

from gptcore.runs.run import Run
from pages.kit import models
from pages.kit.history import History

MOST_STEPS = 3000  # of a run's log that are read to be drawn; every other event is read


def follow(run: Run) -> History:
    """The events of the run this visitor watches; each call reads only what was added since the last."""
    log = run.log_identity()  # another one after a resume from a checkpoint: the log was cut there
    tail = st.session_state.get("tail")
    if tail is None or tail[0] != (run.id, log):
        tail = ((run.id, log), 0, History(name=run.id))
    _, offset, history = tail
    fresh, offset = run.events(offset, most_steps=MOST_STEPS)
    history.add(fresh)
    st.session_state["tail"] = ((run.id, log), offset, history)
    return history


def read(folder: Path) -> History:
    """The events so far of the run in this folder, not to be added to; empty where they are not kept."""
    run = Run(folder)
    return _read(folder, run.log_identity(), run.log_size())


@st.cache_data(max_entries=64, show_spinner=False)
def _read(folder: Path, log_identity: int, log_size: int) -> History:
    if folder == models.shipped_path():
        return History.of(Run(folder).events()[0], name=models.SHIPPED)
    return History.of(Run(folder).events(most_steps=MOST_STEPS)[0], name=folder.name)


def shipped() -> History:
    """The events of the run that made the shipped model; empty where they are not kept."""
    return read(models.shipped_path())
