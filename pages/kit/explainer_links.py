"""Ways to an explainer from within the explainers' page: buttons that turn to it and put its address into the URL.

Not page links: a link from a page to itself hands its parameters over and leaves the browser's address as it was.
Other pages link to `explainers?topic=…` as to any page.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from explainers.reading import Explainer

FILE = "explainers.py"  # of the page in the book
_SCROLL = """
let shown
export default function ({ data }) {
  if (shown !== undefined && shown !== data.view) {
    document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0)
  }
  shown = data.view
}
"""
_TOP = st.components.v2.component("glassbox_top", html="<span></span>", js=_SCROLL)


def scroll_to_top(view: str) -> None:
    """Scroll up when another view of the page is opened: it is the same page, so the browser would stay."""
    _TOP(data={"view": view}, key="top_of_view", height=1)


def go_to(**view: str) -> None:
    """Show another view of the page, and its address: topic=…, print="true", or nothing for the list."""
    for name in ("topic", "print"):
        if name in view:
            st.query_params[name] = view[name]
        elif name in st.query_params:
            del st.query_params[name]


def button(label: str, key: str, *, icon: str | None = None, help: str | None = None, **view: str) -> None:
    """A button that opens a view of the page."""
    st.button(label, key=key, icon=icon, help=help, type="tertiary", on_click=go_to, kwargs=view)


def link(explainer: "Explainer", key: str, *, label: str | None = None, icon: str | None = None) -> None:
    """A button that opens an explainer."""
    button(label or f"**{explainer.title}**", f"{key}_{explainer.topic}", icon=icon, topic=explainer.topic)


def link_row(explainers: Iterable["Explainer"], key: str) -> None:
    """Several explainers, side by side where there is room."""
    with st.container(horizontal=True, key=key):
        for explainer in explainers:
            link(explainer, key, icon=":material/local_library:")
