"""Chapter 4: two ways to pair dimensions, and the reordering that makes them equal."""

import streamlit as st
import torch

from gptcore.experiments.measurements.positions import pairing_scores
from gptcore.lessons import by_hand
from pages.kit import cell_map, controls, words
from pages.kit.cell_map import CellMap
from pages.kit.controls import Dial
from pages.kit.formulas import Formula, Line, number
from pages.labs.positions.example import PAIRINGS

WIDTH = 8


@st.fragment
def pairings() -> None:
    """The same vectors rotated by the right pairs, by the wrong ones, and by the wrong ones after reordering."""
    text = words.load("04_positions")
    text.show("lab_pairs")
    width = controls.value_slider(text.read("lab_pairs_width"), "c4_pairs_width", (4, 6, 8, 16), WIDTH)
    seed = controls.integer(text.read("lab_pairs_draw"), "c4_pairs_seed", Dial("", 1, 9, 1, ""), 1)
    scores = pairing_scores(width, seed=seed)
    order = by_hand.order_for_halves(width, "neighbors")
    back = torch.tensor(order).argsort().tolist()
    rows = [text.read("lab_pairs_row_neighbours"), text.read("lab_pairs_row_halves")]
    conventions = tuple(reversed(PAIRINGS))
    drawing = CellMap(
        values=[
            [float(number_of_pair(by_hand.pairs(width, name), i)) for i in range(width)]
            for name in conventions
        ],
        rows=rows,
        columns=[str(i) for i in range(width)],
        row_title="",
        column_title=text.read("lab_pairs_dimension"),
        what="pair",
        first=(1, 0),
        highest=None,
        numbers=".0f",
    )
    cell_map.show(
        drawing,
        lambda row, i: pair_of_dimension(rows[row], conventions[row], width, i),
        key="c4_pairs_map",
        default=(0, 0),
    )
    text.show("lab_pairs_order", order=", ".join(map(str, order)), back=", ".join(map(str, back)))
    st.table(
        {
            text.read("lab_pairs_what"): [
                text.read("lab_pairs_paper"),
                text.read("lab_pairs_wrong"),
                text.read("lab_pairs_reordered"),
            ],
            text.read("lab_pairs_score"): [
                f"{score:.6f}" for score in (scores.paper, scores.wrong, scores.reordered)
            ],
        }
    )
    text.show("lab_pairs_says", off=abs(scores.wrong - scores.paper))


def number_of_pair(pairs: list[tuple[int, int]], dimension: int) -> int:
    """The number of a dimension's pair, counted from 1."""
    return 1 + next(i for i, pair in enumerate(pairs) if dimension in pair)


def pair_of_dimension(name: str, pairing: str, width: int, dimension: int) -> Formula:
    """Why a dimension belongs to its pair, and how fast that pair rotates."""
    pair = number_of_pair(by_hand.pairs(width, pairing), dimension)
    first, second = by_hand.pairs(width, pairing)[pair - 1]
    if pairing == "halves":
        partner = f"{first} + {width} ÷ 2 = {second}"
        pair_formula = f"{dimension} mod ({width} ÷ 2) + 1"
    else:
        partner = f"{first} + 1 = {second}"
        pair_formula = f"⌊{dimension} ÷ 2⌋ + 1"
    frequency = 10_000.0 ** (-2 * (pair - 1) / width)
    lines = (
        Line("pair", pair_formula, str(pair)),
        Line("dimensions of this pair", f"{first} and {partner}"),
        Line("radians per position", f"10,000^{{−2 × {pair - 1} ÷ {width}}}", number(frequency)),
    )
    return Formula(f"{name}: dimension {dimension}", lines, float(pair))
