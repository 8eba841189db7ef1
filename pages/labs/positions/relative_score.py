"""Chapter 4: the score of a query and a key at any two positions."""

import math
from collections.abc import Sequence

import streamlit as st
import torch
from torch import Tensor

from gptcore.experiments.measurements.positions import scores_by_distance, scores_by_position
from gptcore.positions import inverse_frequencies
from pages.kit import cell_map, controls, figures, formulas, lab, plots, session, words
from pages.kit.cell_map import CellMap
from pages.kit.controls import Dial
from pages.kit.formulas import Formula, Line, number, signed
from pages.labs.positions.example import K, Q
from pages.labs.positions.finding import query_of_the_name, rotary_storyteller

VECTORS = ("of the model", "two equal ones", "of the example")
LAST_POSITION = 400
LONGEST_DISTANCE = 400  # of the curve
MAP_SIZE = 32  # positions along a side of the map
SHIFT = 100  # how far the prediction moves both
MOST_DIALS = 16


def query_key_and_base(name: str) -> tuple[Tensor, Tensor, float]:
    """The query, the key and the base of one choice."""
    if name == VECTORS[0]:
        pair = query_of_the_name()
        return pair.q, pair.k, pair.theta
    if name == VECTORS[1]:
        same = torch.ones(32) / 32**0.25  # so that the scaled score is 1 at distance 0
        return same, same, 10_000.0
    return torch.tensor(Q[0]), torch.tensor(K[0]), 10_000.0


@st.fragment
def relative_score() -> None:
    """Two positions on sliders, their score, and the rotation of every pair."""
    text = words.load("04_positions")
    with lab.frame("c4_drag", text.read("lab_drag_title")):
        text.show("lab_drag")
        side, picture_pane = lab.panes()
        help = text.read("lab_drag_help")
        with side:
            chosen = controls.dropdown(text.read("lab_drag_vectors"), "c4_drag_vectors", VECTORS)
            if chosen == VECTORS[0]:
                session.caption_other_model(rotary_storyteller())
            at = controls.integer(
                text.read("lab_drag_query"), "c4_drag_query", Dial("", 0, LAST_POSITION, 1, help), 20
            )
            key_at = controls.integer(
                text.read("lab_drag_key"), "c4_drag_key", Dial("", 0, LAST_POSITION, 1, help), 4
            )
        q, k, theta = query_key_and_base(chosen)
        distance = at - key_at
        key_before = scores_by_distance(q, k, LONGEST_DISTANCE + 1, theta).tolist()
        # A key after its query: rotating the key forward is the same as rotating the query back.
        key_after = scores_by_distance(k, q, LONGEST_DISTANCE + 1, theta).tolist()
        score = key_before[distance] if distance >= 0 else key_after[-distance]
        with side:
            text.show("lab_drag_says", at=at, key_at=key_at, distance=distance, score=score)
            if distance < 0:
                text.show("lab_drag_ahead")
        with picture_pane:
            curve_tab, map_tab = st.tabs([text.read("lab_drag_curve"), text.read("lab_drag_map")])
        with curve_tab:
            distances = range(-64, LONGEST_DISTANCE + 1)
            scores = [key_before[x] if x >= 0 else key_after[-x] for x in distances]
            _curve(distances, scores, distance, f"drag {chosen}", text)
        with map_tab:
            _map(q, k, theta, at, key_at, text)
        st.markdown(f"**{text.read('lab_drag_clocks', n=len(q) // 2)}**")
        dials_of_pairs(len(q), theta, at, key_at, text)
        _predict(at, key_at, score, text)


def _curve(
    distances: Sequence[int], scores: Sequence[float], marked: int, revision: str, text: words.Words
) -> None:
    """The score against the distance, the chosen distance marked."""
    picture = plots.curves(
        list(distances),
        {text.read("lab_drag_score"): scores},
        x_title=text.read("lab_drag_distance"),
        y_title=text.read("lab_drag_score"),
        mark_x=marked,
        height=300,
        revision=revision,
    )
    picture.figure.update_layout(showlegend=False)
    figures.show(picture, key="c4_drag_curve")


def _map(q: Tensor, k: Tensor, theta: float, at: int, key_at: int, text: words.Words) -> None:
    """The score for every pair of positions: equal along each diagonal."""
    scores = scores_by_position(q, k, MAP_SIZE, theta)
    mean = float(scores.mean())
    names = [str(position) for position in range(MAP_SIZE)]

    def formula(row: int, column: int) -> Formula:
        score = formulas.rotated_score(q, k, row, column, theta)
        difference = score.value - mean
        line = Line(
            "difference from the mean",
            f"{number(score.value)} − {signed(mean)}, the mean of this map",
            number(difference),
        )
        return Formula(score.title, (*score.lines, line), difference, score.tables)

    drawing = CellMap(
        values=(scores - mean).tolist(),  # shades show the difference from the mean of the map
        rows=names,
        columns=names,
        row_title=text.read("lab_drag_rows"),
        column_title=text.read("lab_drag_columns"),
        what="score minus the mean",
        first=(0, 0),
        highest=None,
        height=320,
        alt=text.read("lab_drag_map_alt", n=MAP_SIZE),
    )
    inside = max(at, key_at) < MAP_SIZE
    cell_map.show(drawing, formula, key="c4_drag_map", default=(at, key_at) if inside else (20, 4))


def _predict(at: int, key_at: int, score: float, text: words.Words) -> None:
    shift = SHIFT if max(at, key_at) + SHIFT <= LAST_POSITION else -min(at, key_at)
    lab.predict(
        "c4_drag",
        text.read("lab_drag_predict", at=at, key_at=key_at, at2=at + shift, key_at2=key_at + shift),
        (
            text.read("lab_drag_predict_less"),
            text.read("lab_drag_predict_same", score=score),
            text.read("lab_drag_predict_zero"),
        ),
        right=1,
        because=text.read("lab_drag_predict_because", distance=at - key_at),
        then={"c4_drag_query": at + shift, "c4_drag_key": key_at + shift},
    )


def dials_of_pairs(width: int, theta: float, at: int, key_at: int, text: words.Words) -> None:
    """One dial for each pair of a head, with an arrow for the query and one for the key."""
    frequencies = inverse_frequencies(width, theta).tolist()
    step = math.ceil(len(frequencies) / MOST_DIALS)
    drawn = range(0, len(frequencies), step)
    picture = plots.rotation_dials(
        [at * frequencies[i] for i in drawn],
        [f"{2 * math.pi / frequencies[i]:,.0f}" for i in drawn],
        other=[key_at * frequencies[i] for i in drawn],
        labels=(text.read("asking_query"), text.read("asking_key")),
        revision=f"hands {width}",
    )
    figures.show(picture, key="c4_drag_hands")
    st.caption(text.read("lab_drag_clocks_caption"))
