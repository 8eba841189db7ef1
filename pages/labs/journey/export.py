"""The map as a picture, and the whole journey as a page."""

from collections.abc import Mapping

import streamlit as st

from pages.kit import trace_map, words
from pages.kit.escape import Markdown


def export(
    typed: str,
    given: Mapping,
    drawn: trace_map.TraceMap,
    at: tuple[int, int, int | None],
    text: words.Words,
) -> None:
    """The map as a picture, and the whole journey as a page, made here without any network."""
    stage, token, other = at
    begin = {"stage": drawn.stages[stage].name, "token": token, "other": other}
    sentence = typed if len(typed) <= 80 else typed[:80] + "…"
    title = text.read("export_title", sentence=Markdown(sentence))  # a title of HTML, which is escaped there
    with st.container(horizontal=True):
        st.download_button(
            text.read("export_svg"),
            lambda: trace_map.static_svg(drawn, given["titles"], given["say"], stage, token, other),
            "journey.svg",
            "image/svg+xml",
            key="j_svg",
            icon=":material/image:",
            on_click="ignore",
        )
        st.download_button(
            text.read("export_html"),
            lambda: trace_map.html_page(
                {**given, "at": begin, "asked": 0}, title, text.read("reading"), text.read("keys")
            ),
            "journey.html",
            "text/html",
            key="j_html",
            icon=":material/html:",
            on_click="ignore",
        )
