"""Tokens as a strip of chips, in the colours of the theme, with the ones of note marked.

A small component and not Markdown: a token may hold any character, and here it is always text.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import streamlit as st

_CSS = """
.strip { display: flex; flex-wrap: wrap; gap: 0.2rem; font-family: var(--st-font); line-height: 1.5; }
.chip {
  font: inherit; color: var(--st-text-color); white-space: pre-wrap; overflow-wrap: anywhere;
  background: var(--st-secondary-background-color); border: 1px solid var(--st-border-color);
  border-radius: 0.35rem; padding: 0 0.35rem; margin: 0;
}
button.chip { cursor: pointer; }
button.chip:hover, button.chip:focus-visible { border-color: var(--st-primary-color); outline: none; }
.chip.new { border-color: var(--st-primary-color); border-width: 2px; }
.chip.chosen { background: var(--st-primary-color); color: white; }
.chip.unknown {
  background: repeating-linear-gradient(135deg, transparent 0 4px, var(--st-border-color) 4px 6px);
  border-style: dashed;
}
.chip.faint { opacity: 0.55; }
"""

_JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const strip = parentElement.querySelector(".strip")
  strip.replaceChildren(...data.chips.map((chip, place) => {
    const element = document.createElement(data.clickable ? "button" : "span")
    element.className = "chip " + chip.kind
    element.textContent = chip.text
    if (chip.note) element.title = chip.note
    if (data.clickable) element.onclick = () => setTriggerValue("clicked", place)
    return element
  }))
  strip.setAttribute("aria-label", data.label)
}
"""

_STRIP = st.components.v2.component(
    "glassbox_chips", html='<div class="strip" role="group"></div>', css=_CSS, js=_JS
)

KINDS = ("plain", "new", "chosen", "unknown", "faint")


@dataclass(frozen=True, slots=True)
class Chip:
    """One token. `unknown` is hatched (the model never met it); `note` shows when the mouse rests on it."""

    text: str
    kind: str = "plain"
    note: str = ""

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r} is none of {', '.join(KINDS)}")


def strip(chips: Sequence[Chip], *, key: str, label: str, clickable: bool = False) -> int | None:
    """Show chips in a row that wraps; returns the place of the chip just clicked, for one run."""
    data = {"chips": [asdict(chip) for chip in chips], "label": label, "clickable": clickable}
    result = _STRIP(key=key, data=data, on_clicked_change=lambda: None)
    return result.clicked if clickable else None
