"""Presenter mode (`?present=1`): a page as slides, one section at a time, in large type.

The controller runs in the browser (presenter.js). The server hears only that presenting began or ended, so that the
links to other pages keep it.
"""

from pathlib import Path

import streamlit as st

from pages.kit import links

HERE = Path(__file__).parent
_KEY = "presenter"
_BAR = st.components.v2.component(
    "glassbox_presenter",
    html="""<nav aria-label="Presenter" hidden>
<button class="back" type="button" aria-label="Back">‹ <span class="word">Back</span></button>
<button class="next" type="button" aria-label="Next"><span class="word">Next</span> ›</button>
<span class="at" role="status"><span class="word">Section </span><span class="where"></span></span>
<button class="figure" type="button">Figure<kbd aria-hidden="true">f</kbd></button>
<button class="leave" type="button">Leave<kbd aria-hidden="true">Esc</kbd></button></nav>""",
    css=(HERE / "presenter_bar.css").read_text(encoding="utf-8"),
    js=(HERE / "presenter.js").read_text(encoding="utf-8"),
)
_PAGE_CSS = (HERE / "presenter.css").read_text(encoding="utf-8")

_BUTTON = st.components.v2.component(
    "glassbox_present_button",
    html='<button type="button" title="One section at a time, in large type; the arrow keys move">Present</button>',
    css="""
:host { all: initial; }
button { font: 400 0.9rem var(--st-font); color: var(--st-text-color); background: none; cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius, 0.5rem); padding: 0.3rem 0.75rem; }
button:hover, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-link-color); }
@media print { button { display: none; } }
""",
    js="""
export default function ({ parentElement }) {
  parentElement.querySelector("button").onclick = () => document.dispatchEvent(new Event("glassbox-present"))
}
""",
)


def control(inner: tuple[str, ...]) -> None:
    """Draw the controller of a page; `inner` is how the anchors of labs begin, each of which is a section."""
    is_on = links.sticky_value("present") is not None
    data = {"on": is_on, "inner": list(inner), "css": _PAGE_CSS}
    _BAR(key=_KEY, data=data, height=1, on_on_change=_remember)


def title(text: str) -> None:
    """The title of a page, and at its right the way in."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title(text, anchor=False)
        _BUTTON(key="present", width="content", height="content")


def _remember() -> None:
    links.set_sticky("present", "1" if st.session_state[_KEY]["on"] else None)
