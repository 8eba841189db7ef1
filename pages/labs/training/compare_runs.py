"""Chapter 8: two runs of the reader's own side by side."""

import streamlit as st

from pages.kit import session, words
from pages.labs.runs import comparison


@st.fragment
def compare_runs() -> None:
    """Two runs of the reader's own side by side: losses, texts, and every choice in which they differ."""
    text = words.load("08_training")
    if len(session.runs()) < 2:
        text.show("lab_compare_none")
        return
    text.show("lab_compare")
    comparison.compare()
