"""The living model of the front page: a text that is written token by token, and what each layer does for it.

Python computes every number before the browser moves anything. The first text is a file, so that it is on view before
torch is imported; a test computes it again.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.kit import links, session, words

if TYPE_CHECKING:
    from gptcore.lessons.token_flow import TokenFlow
    from gptcore.tokenizer import Tokenizer

HERE = Path(__file__).parent
FIRST_TEXT = HERE / "living_model_first.json"
NAMES = ("Tom", "Mira")
FIRST_START = "Once upon a time Mira lived in a small cottage with a red roof near the sea, and every morning"
TEMPERATURES = ("0", "0.5", "0.8", "1", "1.5")
START, TEMPERATURE = "home_start", "home_temperature"  # parameters of the URL
LONGEST_START = 2_000  # characters; the model's context is usually shorter
_COMPONENT = st.components.v2.component(
    "glassbox_living_model",
    html='<div class="living"></div>',
    css=(HERE / "living_model.css").read_text(encoding="utf-8"),
    js=(HERE / "living_model.js").read_text(encoding="utf-8"),
)


def start() -> str:
    """The beginning that the model continues: what the visitor has typed or chosen, or the link asks for."""
    if START not in st.session_state:
        st.session_state[START] = links.read(START, links.Text(), FIRST_START)
    return st.session_state[START]


def temperature() -> str:
    """The temperature chosen, as it is written in a link."""
    if TEMPERATURE not in st.session_state:
        st.session_state[TEMPERATURE] = links.read(TEMPERATURE, links.Choice(TEMPERATURES), TEMPERATURES[0])
    return st.session_state[TEMPERATURE]


def is_first() -> bool:
    """Whether the text on view is the one in the file: the shipped model, the first start, no random draw."""
    return (
        session.model_name() == session.SHIPPED
        and start() == FIRST_START
        and temperature() == TEMPERATURES[0]
    )


@lru_cache(maxsize=1)
def first_text() -> dict[str, Any]:
    """What the shipped model writes after the first start, and what its layers do, from the file."""
    return json.loads(FIRST_TEXT.read_text(encoding="utf-8"))


def as_data(given: Sequence[int], flows: "Sequence[TokenFlow]", tokenizer: "Tokenizer") -> dict[str, Any]:
    """The tokens of a start and the flows of those written after it, as the browser gets them."""

    def text(token_id: int) -> str:
        return tokenizer.token_text(token_id)

    def can_be_chosen(token_id: int) -> bool:
        return token_id != tokenizer.eot_id and "\\x" not in text(token_id)

    return {
        "given": [text(token_id) for token_id in given],
        "steps": [
            {
                "token": text(flow.token_id),
                "top": [[text(i), _figure(p), can_be_chosen(i)] for i, p in flow.candidates],
                "layers": [
                    {
                        "attention": _figure(layer.attention_norm),
                        "feedforward": _figure(layer.feedforward_norm),
                        "attended": [[at, _figure(weight)] for at, weight in layer.attended],
                        "lens": [text(layer.best_id), _figure(layer.best_probability)],
                    }
                    for layer in flow.layers
                ],
                "stream": [_signed(state) for state in flow.stream],
            }
            for flow in flows
        ],
    }


def _figure(value: float) -> float:
    return round(value, 4) if value == value else 0.0


def _signed(state: Sequence[float]) -> list[int]:
    """Numbers as whole ones from -9 to 9, the largest of them 9."""
    largest = max(map(abs, state)) or 1.0
    return [round(9 * value / largest) if value == value else 0 for value in state]


def show_first() -> None:
    """Draw the living model with the first text."""
    first = first_text()
    show(first, width=first["width"], parameters=first["parameters"])


def show(data: dict[str, Any], *, width: int, parameters: int) -> None:
    """Draw the living model; `width` is how many numbers a token's vector has, `parameters` how many the model."""
    _COMPONENT(
        key="home_model",
        data={
            **data,
            "width": width,
            "model": session.model_labels()[session.model_name()],
            "millions": f"{parameters / 1e6:.1f}",
            "start": start(),
            "temperature": temperature(),
            "temperatures": TEMPERATURES,
            "names": NAMES,
            "play": f"{session.model_name()} {temperature()} {start()}",
            "longest": LONGEST_START,
            "words": _labels(words.load("home")),
        },
        on_asked_change=_ask,
    )
    links.write(START, start(), FIRST_START)
    links.write(TEMPERATURE, temperature(), TEMPERATURES[0])


def _labels(text: words.Words) -> dict[str, str]:
    """What the browser says; it fills in the names in braces."""
    return {
        "start": text.read("label_start"),
        "write": text.read("label_write"),
        "temperature": text.read("label_temperature"),
        "play": text.read("label_play"),
        "pause": text.read("label_pause"),
        "step": text.read("label_step"),
        "again": text.read("label_again"),
        "speed": text.read("label_speed"),
        "position": text.read("label_position"),
        "swap": text.read("label_swap"),
        "choose": text.read("label_choose"),
        "layer": text.read("label_layer"),
        "attention": text.read("label_attention"),
        "feedforward": text.read("label_feedforward"),
        "lens": text.read("label_lens"),
        "next": text.read("label_next"),
        "text": text.read("label_text"),
        "map": text.read("label_map"),
        "end": text.read("label_end"),
        "model": text.read("label_model"),
        "phase_in": text.read("phase_in"),
        "phase_attention": text.read("phase_attention"),
        "phase_feedforward": text.read("phase_feedforward"),
        "phase_out": text.read("phase_out"),
        "phase_done": text.read("phase_done"),
    }


def _ask() -> None:
    """Take the start and the temperature that the browser asks for. For callbacks."""
    requested = (st.session_state.get("home_model") or {}).get("asked")
    if not isinstance(requested, dict):
        return
    begin, chosen = requested.get("start"), requested.get("temperature")
    if isinstance(begin, str) and len(begin) <= LONGEST_START:
        st.session_state[START] = begin
    if chosen in TEMPERATURES:
        st.session_state[TEMPERATURE] = chosen
