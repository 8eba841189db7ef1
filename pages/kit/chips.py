"""Tokens as a strip of chips, in the colors of the theme, with the ones of note marked.

A small component and not Markdown: a token may hold any character, and here it is always text.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from pages.kit import links

_CSS = """
.strip { display: flex; flex-wrap: wrap; gap: 0.2rem; font-family: var(--st-font); line-height: 1.5; }
.chip {
  font: inherit; color: var(--st-text-color); white-space: pre-wrap; overflow-wrap: anywhere;
  background: var(--st-secondary-background-color); border: 1px solid var(--st-border-color);
  border-radius: 0.35rem; padding: 0 0.35rem; margin: 0;
}
button.chip { cursor: pointer; }
.chip.shaded {
  background: color-mix(in srgb, #0072B2 var(--share), var(--st-secondary-background-color));
}
.chip.asks { outline: 3px solid var(--st-orange-color); outline-offset: -1px; font-weight: 600; }
button.chip:hover, button.chip:focus-visible { border-color: var(--st-primary-color); outline: none; }
.chip.new { border-color: var(--st-primary-color); border-width: 2px; }
.chip.chosen { background: #0072B2; color: white; }
.chip.unknown {
  background: repeating-linear-gradient(135deg, transparent 0 4px, var(--st-border-color) 4px 6px);
  border-style: dashed;
}
.chip.faint { opacity: 0.55; }
.chip.kept {
  border-color: var(--st-green-color);
  background: color-mix(in srgb, var(--st-green-color) 25%, var(--st-secondary-background-color));
}
.chip.refused { border: 2px dashed var(--st-red-color); text-decoration: line-through; }
.chip.unjudged { opacity: 0.5; border-style: dotted; text-decoration: line-through; }
.chip.count { border-color: transparent; background: none; font-size: 0.8em; opacity: 0.7; }
"""

_JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const strip = parentElement.querySelector(".strip")
  strip.replaceChildren(...data.chips.map((chip, place) => {
    const element = document.createElement(data.clickable ? "button" : "span")
    element.className = "chip " + chip.kind
    element.textContent = chip.text
    if (chip.note) element.title = chip.note
    if (chip.share !== null) {
      element.classList.add("shaded"); element.style.setProperty("--share", (60 * chip.share) + "%")
    }
    if (data.pressed !== null && data.clickable) element.setAttribute("aria-pressed", place === data.pressed)
    if (data.clickable) element.onclick = () => setTriggerValue("clicked", place)
    return element
  }))
  strip.setAttribute("aria-label", data.label)
}
"""

_STRIP = st.components.v2.component(
    "glassbox_chips", html='<div class="strip" role="group"></div>', css=_CSS, js=_JS
)

KINDS = ("plain", "new", "chosen", "unknown", "faint", "asks", "kept", "refused", "unjudged", "count")


def visible(token: str) -> str:
    """A token's text with its spaces and line ends made visible."""
    shown = token.replace("\n", "⏎").replace("\t", "⇥")
    stripped = shown.lstrip(" ")
    return "␣" * (len(shown) - len(stripped)) + stripped or "(empty)"


@dataclass(frozen=True, slots=True)
class Chip:
    """One token. `unknown` is hatched (the model never met it); `note` shows when the mouse rests on it.

    `asks` is framed: the token from which others are looked at. `kept`, `refused` and `unjudged` are drafted tokens
    and their verdicts; `count` is a number between tokens. `share`, from 0 to 1, shades a chip.
    """

    text: str
    kind: str = "plain"
    note: str = ""
    share: float | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r} must be one of {', '.join(KINDS)}")


def in_sentence(token: str) -> str:
    """A token as it reads in a sentence: without the space before it."""
    return visible(token).strip("␣") or "␣"


def strip(chips: Sequence[Chip], *, key: str, label: str, clickable: bool = False) -> int | None:
    """Show chips in a row that wraps; returns the index of the chip just clicked, for one run."""
    data = _data(chips, label, clickable)
    result = _STRIP(key=key, data=data, on_clicked_change=lambda: None)
    return result.clicked if clickable else None


def _data(chips: Sequence[Chip], label: str, clickable: bool, pressed: int | None = None) -> dict:
    return {
        "chips": [asdict(chip) for chip in chips],
        "label": label,
        "clickable": clickable,
        "pressed": pressed,
    }


def pick_chip(n: int, draw: Callable[[int], Sequence[Chip]], *, key: str, label: str, default: int) -> int:
    """A strip to click on; returns the chosen index, which is kept in the URL as ?key=, counted from 1.

    `draw` makes the chips once the index is known, so that they can be shaded by it.
    """
    rule = links.Number(1, max(1, n))
    requested = links.read(key, rule, default + 1)
    links.watch(links.Bound(key, rule, default + 1))
    st.session_state.setdefault(key, requested)
    index = max(0, min(int(st.session_state[key]), n) - 1)
    strip_key = f"{key}_strip"

    def clicked() -> None:
        st.session_state[key] = int(st.session_state[strip_key].clicked) + 1

    locked = links.locked(key)
    _STRIP(
        key=strip_key,
        data=_data(draw(index), label, not locked, pressed=index),
        on_clicked_change=(lambda: None) if locked else clicked,
    )
    links.write(key, str(index + 1), str(default + 1))
    return index
