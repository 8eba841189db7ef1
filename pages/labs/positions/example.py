"""Chapter 4: the worked example, a query and a key rotated by hand."""

import math

import streamlit as st
import torch

from gptcore.lessons import by_hand
from pages.kit import arrows, controls, figures, latex, prompt, words
from pages.kit.arrows import Arrow, Plane
from pages.kit.controls import Dial
from pages.kit.worked_example import Steps
from pages.labs.positions.frequencies import BASES

Q = ((0.8, 0.3, -0.5, 0.2),)
K = ((0.6, -0.3, 0.1, 0.5),)
NUMBERS = ("1", "2", "3", "4")
PAIRINGS = ("halves", "neighbors")
KEY_POSITIONS = (0, 1, 7, 40)  # at which the same two vectors are compared
DISTANCE = 2


@st.fragment
def worked_example() -> None:
    """A query of four components rotated step by step; every number can be changed."""
    text = words.load("04_positions")
    text.show("example")
    left, right = st.columns(2, gap="medium")
    with left:
        (q,) = prompt.matrix_input("c4_q", Q, rows=("q",), columns=NUMBERS, label=text.read("example_q"))
    with right:
        (k,) = prompt.matrix_input("c4_k", K, rows=("k",), columns=NUMBERS, label=text.read("example_k"))
    left, middle, right = st.columns(3, gap="medium")
    with left:
        pairing = controls.choice(
            text.read("example_pairing"), "c4_pairing", PAIRINGS, help=text.read("example_pairing_help")
        )
    with middle:
        dial = Dial("", 0, 64, 1, text.read("example_position_help"))
        position = controls.integer(text.read("example_position"), "c4_position", dial, 1)
    with right:
        base = controls.value_slider(text.read("example_base"), "c4_base", BASES, 10_000)
    query, key = torch.tensor(q), torch.tensor(k)
    with Steps(8, key="c4_steps") as open_:
        print_rotation(text, open_, q, by_hand.rotate(query, position, base, pairing), position, base)
        print_positions(text, open_, q, [by_hand.rotate(query, at, base, pairing) for at in range(4)])
        print_scores(text, open_, query, key, base, pairing)


def print_rotation(text: words.Words, open_: Steps, q, rotation, position: int, base: int) -> None:
    """Steps 1 to 5: pairs, frequencies, angles, and the rotation of each pair with its numbers."""
    if open_(text.read("example_pairs_title")):
        text.show("example_pairs")
        st.latex(
            r" \qquad ".join(
                rf"(q_{{{a + 1}}}, q_{{{b + 1}}}) = ({latex.number(q[a])},\; {latex.number(q[b])})"
                for a, b in rotation.pairs
            )
        )
    if open_(text.read("example_speeds_title")):
        text.show("example_speeds")
        st.latex(
            r" \qquad ".join(
                rf"\omega_{{{i + 1}}} = {base}^{{-{2 * i}/4}} = {latex.number(frequency, '.6g')}"
                for i, frequency in enumerate(rotation.frequencies)
            )
        )
    if open_(text.read("example_angles_title")):
        text.show("example_angles", position=position)
        st.latex(
            r" \qquad ".join(
                rf"\varphi_{{{i + 1}}} = {position} \cdot {latex.number(frequency, '.6g')} = "
                rf"{latex.number(angle)}"
                for i, (frequency, angle) in enumerate(zip(rotation.frequencies, rotation.angles))
            )
        )
    for i, (a, b) in enumerate(rotation.pairs):
        title = text.read("example_first_title") if i == 0 else text.read("example_second_title")
        if open_(title):
            text.show("example_first" if i == 0 else "example_second")
            c, s = latex.signed(math.cos(rotation.angles[i])), latex.signed(math.sin(rotation.angles[i]))
            x, y = latex.signed(q[a]), latex.signed(q[b])
            st.latex(
                rf"\begin{{aligned}} q_{{{a + 1}}}' &= {x} \cdot {c} - {y} \cdot {s} = "
                rf"{latex.number(rotation.rotated[a])} \\ q_{{{b + 1}}}' &= {x} \cdot {s} + {y} \cdot {c} = "
                rf"{latex.number(rotation.rotated[b])} \end{{aligned}}"
            )


def print_positions(text: words.Words, open_: Steps, q, rotations) -> None:
    """Step 6: the same query at positions 0 to 3, as numbers and as arrows."""
    if not open_(text.read("example_places_title")):
        return
    text.show("example_places", length=math.hypot(*q))
    st.latex(
        rf"\begin{{matrix}} \text{{position }} 0 \\ 1 \\ 2 \\ 3 \end{{matrix}} \quad "
        rf"{latex.matrix([rotation.rotated for rotation in rotations])}"
    )
    name = text.read("asking_query")
    planes = [
        Plane(
            text.read("example_plane", pair=i + 1, speed=rotations[0].frequencies[i]),
            [
                Arrow(rotation.rotated[a], rotation.rotated[b], name, str(at))
                for at, rotation in enumerate(rotations)
            ],
        )
        for i, (a, b) in enumerate(rotations[0].pairs)
    ]
    picture = arrows.planes(
        planes,
        names=(name,),
        alt="The query at positions 0 to 3, one arrow per pair. The first pair rotates fast, the second slowly.",
        circles=True,
    )
    figures.show(picture, key="c4_places")


def print_scores(text: words.Words, open_: Steps, q, k, base: int, pairing: str) -> None:
    """Steps 7 and 8: query and key both rotated, at several positions, then with the key after the query."""

    def line(at: int, key_at: int) -> str:
        score = by_hand.rotated_score(q, k, at, key_at, base, pairing)
        return rf"\text{{query at }} {at},\; \text{{key at }} {key_at}: &\quad {latex.number(score, '.6f')}"

    if open_(text.read("example_compare_title")):
        text.show("example_compare", apart=DISTANCE)
        query = by_hand.rotate(q, DISTANCE, base, pairing).rotated
        st.latex(rf"q' \cdot k = {latex.dot(query, k.tolist())}")
        lines = [line(at + DISTANCE, at) for at in KEY_POSITIONS]
        st.latex(r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}")
    if open_(text.read("example_back_title")):
        text.show("example_back")
        lines = [line(at, at + DISTANCE) for at in KEY_POSITIONS[:2]]
        st.latex(r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}")
