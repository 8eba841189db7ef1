"""What every page needs beyond the theme: contrast, skip links, the outline's levels, formulas for the keyboard."""

from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_CSS = f"<style>{(_HERE / 'accessibility.css').read_text(encoding='utf-8')}</style>"
_AIDS = st.components.v2.component(
    "glassbox_accessibility", js=(_HERE / "accessibility.js").read_text(encoding="utf-8")
)


def prepare(inner: tuple[str, ...]) -> None:
    """Mend what a page's markup lacks; `inner` is how the anchors of its labs begin."""
    st.html(_CSS)
    _AIDS(key="accessibility", data={"inner": list(inner)}, height=1)
