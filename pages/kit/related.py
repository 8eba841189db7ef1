"""What goes deeper than a chapter: its explainers, and the next chapters."""

import streamlit as st

from explainers.library import of_chapter
from pages.kit import book


def links(chapter: int) -> None:
    """The explainers of a chapter, each with its one line, two beside each other."""
    row = next(row for row in book.TABLE if row.url == "explainers")
    explainers = of_chapter(chapter)
    for start in range(0, len(explainers), 2):
        for column, explainer in zip(st.columns(2, gap="medium"), explainers[start : start + 2]):
            with column:
                st.page_link(
                    book.page_of(row),
                    label=explainer.title,
                    icon=":material/menu_book:",
                    query_params={"topic": explainer.topic},
                )
                st.caption(explainer.summary)  # a link of two lines would be cut off
