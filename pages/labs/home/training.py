"""The run that is trained on the front page, its progress in view, and its model at the end."""

from itertools import count

import streamlit as st

from gptcore.runs.request import RunRequest
from pages.kit import book, escape, front, lab_runs, live, room, session, words


def train_here(starts: bool) -> None:
    """Start a run where it was asked for, and show the run on view."""
    if starts:
        try:
            session.start_run(next_request())
        except (ValueError, OSError) as error:
            st.error(escape.sentence(error), icon=":material/error:")
    run = session.run_on_view()
    if run is not None:
        live.run_status(run, "home")
    if run is None or not run.is_under_way():
        room.show(room.obstacles(lambda: [next_request()]), "home")
    if run is None:
        return
    text = words.load("home")
    live.run_text(run, "home")
    if run.is_under_way() or not session.has_model(run):
        return
    with st.container(horizontal=True):
        live.use_button(run.id, "home_use")
        runs = next(row for row in book.TABLE if row.url == "runs")
        st.page_link(book.page_of(runs), label=text.read("curves"), icon=runs.icon)


def next_request() -> RunRequest:
    """The first of these runs, by seed, that is not over: a second click of another day trains another model."""
    settings = lab_runs.page_settings()
    requests = (RunRequest(seconds=front.TRAIN_SECONDS, seed=seed, settings=settings) for seed in count(1))
    return next(request for request in requests if not _is_over(request))


def _is_over(request: RunRequest) -> bool:
    (run,) = session.find_runs([request])
    return run is not None and not run.is_under_way()
