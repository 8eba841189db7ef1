"""The list of explainers, by chapter, by theme or by search."""

from itertools import groupby

import streamlit as st

from explainers import library
from explainers.reading import THEMES, Explainer
from pages.kit import book, controls, explainer_links, links, words

BY = ("chapter", "theme")


def topic_list() -> None:
    """All explainers, by chapter or by theme, or those that a search finds."""
    text = words.load("explainers")
    bind = links.check("find", links.Text(60), "")
    query = st.text_input(
        "Search the explainers",
        key="find",
        bind=bind,
        max_chars=60,
        type="search",
        icon=":material/search:",
        placeholder=text.read("placeholder"),
        width=words.READING_WIDTH,
    )
    if query and query.strip():
        _found(query)
        return
    by = controls.choice("Sort by", "by", BY)
    every = library.explainers()
    if by == "theme":
        every = sorted(every, key=lambda explainer: THEMES.index(explainer.theme))
    for name, group in groupby(
        every, key=chapter_of if by == "chapter" else lambda explainer: explainer.theme.capitalize()
    ):
        st.subheader(name, anchor=False)
        for explainer in group:
            _entry(explainer, explainer.summary)


def chapter_of(explainer: Explainer) -> str:
    return f"{explainer.chapter} · {book.CHAPTERS[explainer.chapter]}"


def _found(query: str) -> None:
    hits = library.search(query)
    if not hits:
        words.load("explainers").show("nothing_found")
    for hit in hits:
        _entry(hit.explainer, hit.excerpt)


def _entry(explainer: Explainer, sentence: str) -> None:
    with st.container(gap="xxsmall", key=f"entry_{explainer.topic}"):
        explainer_links.link(explainer, "open")
        before = ", ".join(library.explainer(topic).title for topic in explainer.know_before)
        st.markdown(sentence, width=words.READING_WIDTH)
        st.caption(f"{explainer.minutes} min to read" + (f" · read first: {before}" if before else ""))
