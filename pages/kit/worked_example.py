"""The worked example: numbered steps, each with its numbers put in.

A lesson link with ?step=3 opens the first three and a button for the next, so that a class can guess first.
"""

import streamlit as st

from pages.kit import links


class Steps:
    """Counts the steps of one worked example and tells which of them are open."""

    def __init__(self, total: int):
        self.total, self.at = total, 0
        self.open = min(links.step() or total, total)

    def __call__(self, title: str) -> bool:
        """Begin the next step; False where the lesson link keeps it closed."""
        self.at += 1
        if self.at <= self.open:
            st.markdown(f"##### {self.at} · {title}", anchors=False)
            return True
        if self.at == self.open + 1:
            st.button(
                f"Show step {self.at} of {self.total}",
                key=f"next_step_{self.total}",
                icon=":material/expand_more:",
                on_click=links.set_sticky,
                args=("step", str(self.at) if self.at < self.total else None),
            )
        return False
