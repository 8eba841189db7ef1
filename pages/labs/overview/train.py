"""Chapter 0: train a model here, and links to three chapters."""

import streamlit as st

from gptcore.runs.request import RunRequest
from pages.kit import book, lab_runs, live, session, words

HERE_SECONDS = 60
HERE_SEED = 1


def train_here() -> None:
    """The button that starts a run, the progress of the run, and the button that selects its model."""
    text = words.load("00_overview")
    run = session.run_on_view()
    under_way = run is not None and run.is_under_way()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        found = lab_runs.start_button(
            "c0",
            text.read("train_button"),
            lambda: {"overview": request_here()},
            key="c0_train",
            store="c0_runs",
            lab=False,
            type="primary",
            disabled=under_way,
            help=text.read("train_help", seconds=HERE_SECONDS),
        )
        chapter_links(text)
    if run is not None:
        live.run_status(run, "c0")
    lab_runs.show_problem("c0", found)
    if run is None:
        return
    live.run_text(run, "c0")
    if not under_way and session.has_model(run):
        live.use_button(run.id, "c0_use")


def chapter_links(text: words.Words) -> None:
    """Links to three chapters, with their reading times in minutes."""
    rows = {row.url: row for row in book.TABLE}
    st.page_link(
        book.page_of(rows["inference"]),
        label=text.read("door_show", minutes=words.minutes(rows["inference"].words)),
        icon=":material/bolt:",
    )
    st.markdown(text.read("door_teach", minutes=words.minutes(rows["overview"].words)))
    st.page_link(
        book.page_of(rows["training"]),
        label=text.read("door_weigh", minutes=words.minutes(rows["training"].words)),
        icon=":material/tune:",
    )


def request_here() -> RunRequest:
    """The run that the button starts: the smallest preset for one minute."""
    return RunRequest(seconds=HERE_SECONDS, seed=HERE_SEED, settings=lab_runs.page_settings())
