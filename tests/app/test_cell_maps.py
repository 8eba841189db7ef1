"""Formulas of cells against torch, and what a picture does with the cell that was asked for."""

import json
import math

import pytest
import torch
from streamlit.testing.v1 import AppTest

from gptcore.config import ModelConfig
from gptcore.experiments.measurements.positions import scores_by_position
from gptcore.interpret import logit_lens
from gptcore.model import GPT
from gptcore.tracing import trace
from pages.kit import cell_map, formulas, links, prompt
from pages.kit.cell_map import CellMap
from pages.kit.formulas import HeadCell

IDS = [3, 1, 4, 1, 5, 9, 2, 6]
SHAPE = ModelConfig(
    vocab_size=12, context_length=16, d_model=16, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=32
)
MODELS = {
    "grouped": SHAPE,
    "window": SHAPE.replace(window=3),
    "no mask": SHAPE.replace(causal=False),
    "learned positions, scale": SHAPE.replace(position="learned", score_scale=0.7),
    "normed queries": SHAPE.replace(qk_norm=True),
}


def traced(config: ModelConfig):
    """A model with large random weights, so that its attention is far from uniform, and a trace of it."""
    model = GPT(config, seed=1).eval()
    with torch.no_grad():
        for layer in model.layers:
            layer.attention.qkv_proj.weight.mul_(30)
    return model, trace(model, IDS)


@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
def test_every_attention_weight_is_what_its_formula_says(config):
    _, seen = traced(config)
    names = [str(i) for i in IDS]
    for layer, head, query, key in ((0, 0, 0, 0), (1, 3, 7, 6), (1, 2, 5, 1), (0, 1, 2, 6)):
        found = formulas.attention_weight(seen, config, HeadCell(layer, head, query, key), names)
        want = float(seen[f"layers.{layer}.attention.weights"][0, head, query, key])
        assert found.value == pytest.approx(want, abs=1e-5)
        assert f"head {head + 1}" in found.title and f"(position {query + 1})" in found.title
        raw, scale = found.lines[0].result, config.score_scale
        (_, q), (_, k), (_, terms) = found.tables[0].rows
        assert raw == formulas.number(sum(terms)) and terms == [x * y for x, y in zip(q, k)]
        score = float(seen[f"layers.{layer}.attention.scores"][0, head, query, key])
        assert sum(terms) * scale == pytest.approx(score, rel=1e-4)


def test_a_masked_key_is_told_with_its_reason():
    for config, key, reason in (
        (SHAPE, 6, "later position"),
        (SHAPE.replace(window=2), 0, "outside the window"),
    ):
        found = formulas.attention_weight(traced(config)[1], config, HeadCell(0, 0, 3, key), list("abcdefgh"))
        assert found.value == 0 and any(reason in line.terms for line in found.lines)


def test_the_proportions_of_weighted_values_sum_to_one():
    _, seen = traced(SHAPE)
    row = [
        formulas.weighted_value(seen, SHAPE, HeadCell(1, 2, 5, key), list("abcdefgh")).value
        for key in range(6)
    ]
    lengths = seen["layers.1.attention.v"][0, 1].norm(dim=-1)
    parts = seen["layers.1.attention.weights"][0, 2, 5] * lengths
    assert sum(row) == pytest.approx(1) and row == pytest.approx((parts / parts.sum())[:6].tolist(), rel=1e-4)


def test_a_rotated_score_is_that_of_the_map():
    draw = torch.Generator().manual_seed(2)
    q, k = torch.randn(8, generator=draw), torch.randn(8, generator=draw)
    scores = scores_by_position(q, k, 12, 500.0)
    for at, key_at in ((0, 0), (11, 3), (2, 9)):
        assert formulas.rotated_score(q, k, at, key_at, 500.0).value == pytest.approx(
            float(scores[at, key_at]), abs=1e-4
        )


@pytest.mark.parametrize("norm_position", ["pre", "post"])
def test_a_probability_of_the_logit_lens_is_that_of_its_reading(norm_position):
    model, seen = traced(SHAPE.replace(norm_position=norm_position))
    readings = logit_lens.readings(model, seen)
    for layer, position in ((0, 0), (1, 4), (2, 7)):
        token = readings[-1].best[position]
        found = formulas.lens_probability(model, seen, layer, position, token, "t")
        assert found.value == pytest.approx(readings[layer].of_final[position], rel=1e-4)


def test_a_softmax_of_large_scores_does_not_overflow():
    lines, value = formulas.softmax_lines([900.0, 901.0], 0, "both")
    assert value == pytest.approx(1 / (1 + math.e)) and "− 901" in lines[1].terms


def test_a_large_matrix_is_drawn_as_means_and_has_no_text():
    n = 3 * cell_map.MOST_CELLS
    values = [[float(i == j) for j in range(n)] for i in range(n)]
    drawing = CellMap(values=values, rows=["r"] * n, columns=["c"] * n, numbers=".2f")
    drawn = drawing.drawn()
    assert len(drawn) == len(drawn[0]) == cell_map.MOST_CELLS and drawing.cell_texts() is None
    assert sum(map(sum, drawn)) / len(drawn) ** 2 == pytest.approx(1 / n)


def test_cells_hold_numbers_minus_infinity_and_nothing():
    drawing = CellMap(values=[[-1.0, -math.inf], [0.5, math.nan]], rows="ab", columns="ab", numbers=".1f")
    assert drawing.cell_texts() == [["−1.0", "−∞"], ["0.5", ""]]


def script():
    import streamlit as st

    from pages.kit import cell_map, controls, formulas, lab
    from pages.kit.cell_map import CellMap

    with lab.frame("t", "A lab"):
        n = controls.integer("Rows", "t_rows", controls.Dial("", 1, 9, 1, ""), 4)
        drawing = CellMap(values=[[1.0, 2.0]] * n, rows=list("abcdefghi")[:n], columns=["x", "y"])

        def formula(row, column):
            st.write(f"cell {row} {column}")
            return formulas.dot("one", "a", [1.0], "b", [1.0])

        cell_map.show(drawing, formula, key="t_map", default=(n - 1, 0))


def asked_cell(app: AppTest) -> str:
    assert not app.exception
    return next(text.value for text in app.markdown if text.value.startswith("cell "))


def test_a_cell_of_a_link_stays_while_controls_move_and_goes_with_a_reset():
    app = AppTest.from_function(script, default_timeout=60)
    app.query_params["t_map_cell"] = "2,2"
    assert asked_cell(app.run()) == "cell 1 1"
    assert asked_cell(app.slider(key="t_rows").set_value(7).run()) == "cell 1 1"
    assert app.query_params["t_map_cell"] == "2,2"
    assert asked_cell(app.button(key="t_reset").click().run()) == "cell 3 0"
    assert "t_map_cell" not in app.query_params


def test_a_cell_that_is_gone_gives_way_without_blaming_a_link():
    app = AppTest.from_function(script, default_timeout=60)
    app.query_params["t_map_cell"] = "4,2"
    assert asked_cell(app.run()) == "cell 3 1"
    assert asked_cell(app.slider(key="t_rows").set_value(2).run()) == "cell 1 0"
    assert not app.warning and "t_map_cell" not in app.query_params


@pytest.mark.parametrize("given", ["5,1", "0,1", "1", "1,2,3", "a,b"])
def test_a_cell_that_never_was_is_refused(given):
    app = AppTest.from_function(script, default_timeout=60)
    app.query_params["t_map_cell"] = given
    assert asked_cell(app.run()) == "cell 3 0"
    assert "a row from 1 to 4 and a column from 1 to 2" in app.warning[0].value


def test_a_typed_number_goes_through_a_link_unchanged():
    """A link carries every digit that an editor shows."""
    typed = ((0.77, -0.123456789), (1234567.5, 0.00001))
    rule = links.Matrix(2, 2, -1e7, 1e7)
    assert rule.parse(prompt.matrix_text(typed)) == typed
    assert float(links.format_value(0.123456789)) == 0.123456789
    app = AppTest.from_function(matrix_script, default_timeout=60)
    app.query_params["m"] = ".77,.123456789"
    app.run()
    assert not app.exception and app.query_params["m"] == ".77,.123456789"
    assert app.markdown[-1].value == "(0.77, 0.123456789)"
    # With a step Streamlit's editor cuts what is typed to the step's digits.
    columns = json.loads(app.dataframe[0].proto.columns)
    kinds = [column["type_config"] for name, column in columns.items() if name in "ab"]
    assert len(kinds) == 2 and not any(kind.get("step") for kind in kinds)


def matrix_script():
    import streamlit as st

    from pages.kit import prompt

    (row,) = prompt.matrix_input("m", ((1, 0),), rows=["r"], columns=["a", "b"], label="M")
    st.write(str(row))
