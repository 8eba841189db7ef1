"""Chapter 1: what the page prints is what an independent computation gives."""

import re

import pytest

from tests.app.reading import formulas, opener, said

X, Y = (0.0, 1.0, 2.0, 3.0), (1.1, 1.4, 2.1, 2.4)


open_page = opener("01_setup.py")


def slopes(w: float, b: float, xs=X, ys=Y) -> tuple[float, float, float]:
    """Loss and both slopes of a line, in plain Python."""
    errors = [w * x + b - y for x, y in zip(xs, ys)]
    n = len(xs)
    return (
        sum(e * e for e in errors) / n,
        sum(2 * e * x for e, x in zip(errors, xs)) / n,
        sum(2 * e for e in errors) / n,
    )


def short(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def test_loss_gradient_and_step_are_those_of_plain_python():
    app = open_page()
    loss, slope_w, slope_b = slopes(0.0, 0.0)
    text = formulas(app)
    assert rf"\text{{loss}} = \frac{{1.21 + 1.96 + 4.41 + 5.76}}{{4}} = {short(loss)}" in text
    assert f"= {short(slope_w)}" in text and f"= {short(slope_b)}" in text
    w, b = -0.15 * slope_w, -0.15 * slope_b
    assert f"= {short(w)}" in text and f"= {short(b)}" in text
    after = slopes(w, b)[0]
    assert f"goes from {loss:.4f} to {after:.4f}" in said(app)
    assert f"| of w | {slope_w:.5f} | {slope_w:.5f} |" in said(app)  # by hand and by autograd
    assert f"| 1 | {w:.4f} | {b:.4f} | {after:.4f} |" in said(app)  # the table of steps


def test_edited_points_come_from_the_link_and_every_step_follows():
    app = open_page(c1_points="1,2,4,5;2,1,0,-1", c1_w="0.5", c1_b="-1", c1_rate="0.02")
    loss, slope_w, slope_b = slopes(0.5, -1.0, (1, 2, 4, 5), (2, 1, 0, -1))
    for value in (loss, slope_w, slope_b, 0.5 - 0.02 * slope_w, -1 - 0.02 * slope_b):
        assert re.search(rf"= {re.escape(short(value)[:-1])}", formulas(app))


@pytest.mark.parametrize(
    ("rate", "verdict"),
    [("0.01", "Still converging"), ("0.15", "Training converges"), ("0.26", "Training diverges")],
)
def test_the_rate_is_too_low_right_or_too_high(rate, verdict):
    app = open_page(c1_knob_rate=rate, c1_knob_steps="60" if verdict == "Training converges" else "30")
    assert f"**{verdict}.**" in said(app)


def test_the_limit_of_the_rate_is_two_over_the_largest_curvature():
    import numpy as np

    table = np.stack([X, np.ones(4)], 1)
    limit = 2 / np.linalg.eigvalsh(2 * table.T @ table / 4).max()
    assert f"here it is at {limit:.3f}" in said(open_page())


def test_a_cell_of_the_matrix_product_is_spelled_out():
    app = open_page(c1_a="1,2,3;4,5,6", c1_b_matrix="1,0;0,1;2,2", c1_cell="2,1")
    assert r"4 \cdot 1 + 5 \cdot 0 + 6 \cdot 2 = 16" in formulas(app)


@pytest.mark.parametrize(
    ("operation", "sizes", "sentence"),
    [
        ("A @ B", (2, 3, 3, 4), "dot product of 3 pairs"),
        ("A @ B", (2, 3, 2, 4), "a row of A has 3 numbers and a column of B has 2"),
        ("A + B", (3, 4, 2, 4), "the sizes 3 and 2, second from the right, cannot be broadcast"),
        ("A.view", (2, 6, 4, 3), "Nothing was copied"),
        ("A.view", (2, 6, 5, 3), "A has 12 numbers and 5 × 3 needs 15"),
    ],
)
def test_the_playground_gives_a_result_or_the_rule(operation, sizes, sentence):
    keys = ("c1_shape_ar", "c1_shape_ac", "c1_shape_br", "c1_shape_bc")
    app = open_page(c1_shape_op=operation, **dict(zip(keys, map(str, sizes))))
    errors = "\n".join(error.value for error in app.error)
    assert sentence in said(app) + errors
    if errors:
        button = next(one for one in app.button if one.key.startswith("c1_shape_repair"))
        button.click().run()
        assert not app.error  # the size it offers is a legal one


def test_two_points_are_met_exactly_and_the_kept_ones_are_not():
    app = open_page(c1_more_few="true", c1_few_n="2")
    learned, kept = re.search(
        r"training loss is ([\d.]+), its loss on the held-out points\s+\*\*([\d.]+)\*\*", said(app)
    ).groups()
    assert float(learned) == 0 < float(kept)


def test_the_presets_state_is_sixteen_bytes_a_weight():
    table = next(one.value for one in open_page().dataframe if "training memory" in one.value.columns)
    row = table[table["preset"] == "tiny"].iloc[0]
    assert row["parameters"] == "17.1 M" and row["training memory"] == "273 MB"


def test_a_measured_rate_turns_into_times(own_runs):
    import json

    from gptcore.experiments import claims

    made_up = {
        "matrix product, bf16": (90.0,) * 3,
        "training nano": (20.0,) * 3,
        "training tiny": (30.0,) * 3,
    }
    result = claims.Result(
        name="flops_over_peak", claim="c", source="s", measured=20.0, spread=(20.0, 20.0), unit="GFLOP/s",
        verdict="holds not", settings=made_up, within_noise=(), repetitions=1, seconds=1.0, load=0.0, cores=2,
        machine="m", versions={}, when="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    claims.folder().mkdir(parents=True)
    (claims.folder() / "flops_over_peak.json").write_text(json.dumps(result.to_dict()))
    text = said(open_page())
    assert "reaches **33%** of the matrix product" in text and "factor of 3.0" in text


def test_parts_stand_in_the_order_of_every_chapter():
    from pages.kit.book import PARTS

    assert [one.value for one in open_page().header] == list(PARTS.values())
