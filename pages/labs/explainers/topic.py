"""One explainer: what to know before, its text with live blocks, and links onward."""

import streamlit as st

from explainers import library
from explainers.reading import Explainer
from pages.kit import book, explainer_links, presenter, session, words
from pages.labs.explainers.live_block import live_passage, write_prose
from pages.labs.explainers.topic_list import chapter_of


def topic_page(explainer: Explainer) -> None:
    """One topic: what to know before, its text with the blocks alive, and links onward."""
    explainer_links.button("All explainers", "open_all", icon=":material/arrow_back:")
    presenter.title(explainer.title)
    n_live = sum(bool(block.constants) for block in explainer.blocks)
    live = f"{n_live} live block{'s' if n_live > 1 else ''}"
    st.caption(f"Goes deeper than chapter {chapter_of(explainer)} · {explainer.minutes} min to read · {live}")
    st.markdown(f"**{explainer.summary}**", width=words.READING_WIDTH)
    if explainer.know_before:
        st.caption("Read first")
        explainer_links.link_row(map(library.explainer, explainer.know_before), key="know_before")
    session.caption_shipped_model()
    for number, passage in enumerate(explainer.passages):
        if isinstance(passage[0], str):
            write_prose(passage[0])
        else:
            live_passage(explainer.topic, number)
    _way_on(explainer)


def _way_on(explainer: Explainer) -> None:
    """Before, after, and the chapter this one goes deeper than."""
    st.divider()
    rows = [row for row in book.TABLE if row.number == explainer.chapter]
    before, after = library.neighbours(explainer.topic)
    with st.container(horizontal=True, horizontal_alignment="distribute", key="way_on"):
        if before:
            explainer_links.link(
                before, "before", label=f"Previous: {before.title}", icon=":material/arrow_back:"
            )
        for row in rows:
            st.page_link(book.page_of(row), label=f"Chapter {row.label}")
        if after:
            explainer_links.link(after, "next", label=f"Next: {after.title}", icon=":material/arrow_forward:")
