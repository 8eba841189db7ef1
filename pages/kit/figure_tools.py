"""Under every figure of a page: save it as PNG or SVG, save its data as CSV, show the data as a table.

All of it happens in the browser (figure_tools.js), which reads the figure as it is drawn: nothing is sent, and a
figure that is never saved costs the server nothing.
"""

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
CSS = (HERE / "figure_tools.css").read_text(encoding="utf-8")
JS = (HERE / "figure_tools.js").read_text(encoding="utf-8")

_COMPONENT = st.components.v2.component("glassbox_figure_tools", html="<span hidden></span>", js=JS)


def watch() -> None:
    """Put the tools under every figure that this page draws, now and later."""
    _COMPONENT(key="figure_tools", data={"css": CSS}, height=1)
