"""Chapter 4: two ways to pair the same numbers, and the order that makes them one."""

import streamlit as st
import torch

from gptcore.experiments.measurements.positions import pairing_scores
from gptcore.lessons import by_hand
from pages.kit import controls, figures, grids, words
from pages.kit.controls import Dial
from pages.labs.positions.example import PAIRINGS

WIDTH = 8


@st.fragment
def pairings() -> None:
    """The same weights read with the right pairs, with the wrong ones, and with the wrong ones reordered."""
    text = words.load("04_positions")
    text.show("lab_pairs", width=WIDTH)
    width = controls.value_slider(text.read("lab_pairs_width"), "c4_pairs_width", (4, 6, 8, 16), WIDTH)
    seed = controls.integer(text.read("lab_pairs_draw"), "c4_pairs_seed", Dial("", 1, 9, 1, ""), 1)
    scores = pairing_scores(width, seed=seed)
    order = by_hand.order_for_halves(width, "neighbours")
    back = torch.tensor(order).argsort().tolist()
    rows = [text.read("lab_pairs_row_neighbours"), text.read("lab_pairs_row_halves")]
    picture = grids.matrix(
        [
            [1 + pairs.index(next(p for p in pairs if i in p)) for i in range(width)]
            for pairs in (by_hand.pairs(width, name) for name in reversed(PAIRINGS))
        ],
        rows=rows,
        columns=[str(i) for i in range(width)],
        name=text.read("lab_pairs_of"),
        numbers=".0f",
        column_title=text.read("lab_pairs_dimension"),
        revision="pairs",
    )
    figures.show(picture, key="c4_pairs_map")
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
