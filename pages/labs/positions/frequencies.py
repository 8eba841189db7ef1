"""Chapter 4: the wavelength of each pair for a base, and how a score falls with distance."""

import math
from collections.abc import Sequence

import streamlit as st

from gptcore.positions import inverse_frequencies
from pages.kit import controls, figures, lab, plots, words
from pages.labs.positions import cached

BASES = (100, 1000, 10_000, 100_000, 500_000, 1_000_000)
WIDTHS = (16, 32, 64, 128)
TEXTS = (256, 2048, 8192, 32_768, 131_072)
DISTANCES = tuple(sorted({round(1.2**power) for power in range(54)}))  # distances, up to 15,726


@st.fragment
def frequencies() -> None:
    """The wavelength of each pair for a chosen base, and how the score falls with distance."""
    text = words.load("04_positions")
    with lab.frame("c4_clock", text.read("lab_clock_title")):
        text.show("lab_clock")
        side, picture_pane = lab.panes()
        with side:
            base = controls.value_slider(text.read("lab_clock_base"), "c4_clock_base", BASES, 10_000)
            width = controls.value_slider(text.read("lab_clock_width"), "c4_clock_width", WIDTHS, 64)
            tokens = controls.value_slider(text.read("lab_clock_text"), "c4_clock_text", TEXTS, 8192)
        bases = (base, 10_000 if base != 10_000 else 500_000)
        of_pairs = wavelengths(width, base)
        n_complete = sum(length <= tokens for length in of_pairs)
        with side:
            text.show(
                "lab_clock_says",
                fastest=of_pairs[0],
                slowest=of_pairs[-1],
                whole=n_complete,
                pairs=width // 2,
                tokens=tokens,
            )
        with picture_pane:
            wavelength_tab, decay_tab = st.tabs([text.read("lab_clock_turns"), text.read("lab_clock_decay")])
        with wavelength_tab:
            _wavelength_curves(width, bases, tokens, text)
        with decay_tab:
            _decay_curves(width, bases, text)
            text.show("lab_clock_decay_says")
        _predict(width, 500_000 if base != 500_000 else 1000, tokens, n_complete, text)


def wavelengths(width: int, base: float) -> list[float]:
    """The wavelength of each pair of a head, in tokens."""
    return [2 * math.pi / frequency for frequency in inverse_frequencies(width, base).tolist()]


def _wavelength_curves(width: int, bases: Sequence[int], tokens: int, text: words.Words) -> None:
    picture = plots.curves(
        list(range(1, width // 2 + 1)),
        {text.read("lab_clock_of", base=base): wavelengths(width, base) for base in bases}
        | {text.read("lab_clock_line"): [tokens] * (width // 2)},
        x_title=text.read("lab_clock_pair"),
        y_title=text.read("lab_clock_tokens"),
        log_y=True,
        height=300,
        revision="clocks",
    )
    figures.show(picture, key="c4_clock_turns")


def _decay_curves(width: int, bases: Sequence[int], text: words.Words) -> None:
    picture = plots.curves(
        DISTANCES,
        {
            text.read("lab_clock_of", base=base): cached.remaining_score(width, base, DISTANCES)
            for base in bases
        },
        x_title=text.read("lab_drag_distance"),
        y_title=text.read("lab_clock_share"),
        log_x=True,
        height=300,
        revision="decay",
    )
    figures.show(picture, key="c4_clock_decay")


def _predict(width: int, base: int, tokens: int, before: int, text: words.Words) -> None:
    """Ask how many pairs complete a rotation within the text with another base; `before` do with the chosen one."""
    of_pairs = wavelengths(width, base)
    n_complete = sum(length <= tokens for length in of_pairs)
    lab.predict(
        "c4_clock",
        text.read("lab_clock_predict", base=base, tokens=tokens, whole=before, pairs=width // 2),
        (
            text.read("lab_clock_predict_more"),
            text.read("lab_clock_predict_fewer"),
            text.read("lab_clock_predict_all"),
        ),
        right=0 if n_complete > before else 1 if n_complete < before else 2,
        because=text.read(
            "lab_clock_predict_because",
            base=base,
            fastest=of_pairs[0],
            slowest=of_pairs[-1],
            more=n_complete,
            whole=before,
        ),
        then={"c4_clock_base": base},
    )
