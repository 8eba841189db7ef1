"""Chapter 4: the wavelengths of the pairs against the base, and how a score falls with distance."""

import math

import streamlit as st

from gptcore.positions import inverse_frequencies
from pages.kit import controls, figures, lab, plots, words
from pages.labs.positions import cached

BASES = (100, 1000, 10_000, 100_000, 500_000, 1_000_000)
WIDTHS = (16, 32, 64, 128)
TEXTS = (256, 2048, 8192, 32_768, 131_072)
DISTANCES = tuple(sorted({round(1.2**power) for power in range(54)}))  # distances, up to 15,726


@st.fragment
def clocks() -> None:
    """How long each clock takes for a turn, against the base; and what the base leaves of a score far away."""
    text = words.load("04_positions")
    with lab.frame("c4_clock", text.read("lab_clock_title")):
        text.show("lab_clock")
        one, two, three = st.columns(3, gap="medium")
        with one:
            base = controls.stops(text.read("lab_clock_base"), "c4_clock_base", BASES, 10_000)
        with two:
            width = controls.stops(text.read("lab_clock_width"), "c4_clock_width", WIDTHS, 64)
        with three:
            tokens = controls.stops(text.read("lab_clock_text"), "c4_clock_text", TEXTS, 8192)
        turns = {
            of: [2 * math.pi / speed for speed in inverse_frequencies(width, of).tolist()]
            for of in (base, 10_000 if base != 10_000 else 500_000)
        }
        whole = sum(turn <= tokens for turn in turns[base])
        text.show(
            "lab_clock_says",
            fastest=turns[base][0],
            slowest=turns[base][-1],
            whole=whole,
            pairs=width // 2,
            tokens=tokens,
        )
        left, right = st.columns(2, gap="medium")
        with left:
            st.markdown(f"**{text.read('lab_clock_turns')}**")
            picture = plots.curves(
                list(range(1, width // 2 + 1)),
                {text.read("lab_clock_of", base=of): turn for of, turn in turns.items()}
                | {text.read("lab_clock_line"): [tokens] * (width // 2)},
                x_title=text.read("lab_clock_pair"),
                y_title=text.read("lab_clock_tokens"),
                log_y=True,
                height=300,
                revision="clocks",
            )
            st.plotly_chart(picture.figure, key="c4_clock_turns", config=figures.CONFIG, alt=picture.alt)
        with right:
            st.markdown(f"**{text.read('lab_clock_decay')}**")
            picture = plots.curves(
                DISTANCES,
                {text.read("lab_clock_of", base=of): cached.score_left(width, of, DISTANCES) for of in turns},
                x_title=text.read("lab_drag_distance"),
                y_title=text.read("lab_clock_share"),
                log_x=True,
                height=300,
                revision="decay",
            )
            st.plotly_chart(picture.figure, key="c4_clock_decay", config=figures.CONFIG, alt=picture.alt)
        text.show("lab_clock_decay_says")
        following = 500_000 if base != 500_000 else 1000
        raised = [2 * math.pi / speed for speed in inverse_frequencies(width, following).tolist()]
        more = sum(turn <= tokens for turn in raised)
        options = (
            text.read("lab_clock_predict_more"),
            text.read("lab_clock_predict_fewer"),
            text.read("lab_clock_predict_all"),
        )
        lab.predict(
            "c4_clock",
            text.read("lab_clock_predict", base=following, tokens=tokens, whole=whole, pairs=width // 2),
            options,
            right=0 if more > whole else 1 if more < whole else 2,
            because=text.read(
                "lab_clock_predict_because",
                base=following,
                fastest=raised[0],
                slowest=raised[-1],
                more=more,
                whole=whole,
            ),
            then={"c4_clock_base": following},
        )
