"""What goes deeper than a chapter: its explainers, and where the book goes on."""

import streamlit as st

from explainers.library import of_chapter
from pages.kit import book, words


def links(chapter: int) -> None:
    """The explainers of a chapter, each with its one line."""
    found = of_chapter(chapter)
    row = next((row for row in book.TABLE if row.url == "explainers"), None)
    for explainer in found:
        if row is not None:
            st.page_link(
                book.page_of(row),
                label=explainer.title,
                icon=":material/menu_book:",
                query_params={"topic": explainer.topic},
            )
            st.caption(explainer.summary, width=words.READING_WIDTH)  # a link of two lines would be cut off
        else:
            st.markdown(f"- **{explainer.title}.** {explainer.summary}", width=words.READING_WIDTH)
