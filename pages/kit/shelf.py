"""Links to the explainers: where a page points to a deep dive, all use the same address."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from explainers.reading import Explainer

FILE = "explainers.py"  # of the page in the book


def link(explainer: "Explainer", *, label: str | None = None, **more: str) -> None:
    """A link that opens an explainer in this tab."""
    # The table of pages draws chapters that link here, so it is asked for when a link is drawn.
    from pages.kit import book

    page = book.page_of(book.row_of(FILE))
    st.page_link(
        page,
        label=label or explainer.title,
        query_params={"topic": explainer.topic},
        help=explainer.summary,
        **more,
    )


def row(explainers: Iterable["Explainer"], key: str) -> None:
    """Links to several explainers, side by side where there is room."""
    with st.container(horizontal=True, key=key):
        for explainer in explainers:
            link(explainer, icon=":material/local_library:")
