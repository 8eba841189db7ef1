"""Chapter 6: what the page prints is what an independent computation gives."""

import itertools
import math
import re

import pytest

from tests.app.reading import formulas, opened_once, opener, said

open_page = opener("06_block.py")


page = opened_once(open_page, c6_more_norms="true", c6_more_mix="true")


def short(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def half_block(x, gain, gate, up, down):
    """x + SwiGLU(RMSNorm(x)) in plain Python: every vector on the way."""
    rms = math.sqrt(sum(value * value for value in x) / len(x) + 1e-5)
    h = [g * value / rms for g, value in zip(gain, x)]
    z, u = ([sum(a * row[j] for a, row in zip(h, m)) for j in range(len(m[0]))] for m in (gate, up))
    hidden = [a / (1 + math.exp(-a)) * b for a, b in zip(z, u)]
    output = [sum(a * row[j] for a, row in zip(hidden, down)) for j in range(len(x))]
    return [rms, *h, *z, *u, *hidden, *output, *(a + b for a, b in zip(x, output))]


def test_the_numbers_of_the_worked_example(page):
    from pages.labs.block.example import GAIN, W_DOWN, W_GATE, W_UP, X

    text = formulas(page)
    for known in ("1.1696", "-0.5483", "0.2924", "-1.4986"):
        assert known in text
    for value in half_block(X[0], GAIN[0], W_GATE, W_UP, W_DOWN):
        assert short(value) in text


def test_edited_numbers_come_from_the_link_and_every_step_follows():
    from pages.labs.block.example import W_DOWN, W_GATE, W_UP

    app = open_page(c6_x="1,2,-3,.5", c6_gain="1,.5,2,1")
    for value in half_block((1, 2, -3, 0.5), (1, 0.5, 2, 1), W_GATE, W_UP, W_DOWN):
        assert short(value) in formulas(app)


def test_removing_residual_connections_costs_powers_of_ten(page):
    found = [
        float(one)
        for one in re.findall(
            r"gradient at the input of the first block is \$10\^\{([\d.]+)\}\$ times", said(page)
        )
    ]
    assert len(found) == 2 and all(
        6 < powers < 9 for powers in found
    )  # the finding and the first lab, 48 blocks
    app = open_page(c6_depth_eps="1e-5", c6_depth_n="24")
    assert "the gradient at the input of the first block is **0**" in said(app)


def test_a_prediction_is_answered_with_both_exponents():
    app = open_page(c6_depth_n="24")
    next(one for one in app.radio if one.key == "c6_depth_guess").set_value(2).run()
    now, then = re.search(
        r"\$10\^\{([\d.]+)\}\$ at 24 blocks and \$10\^\{([\d.]+)\}\$ at 48", app.success[0].value
    ).groups()
    assert 1.5 < float(then) / float(now) < 2.8
    next(one for one in app.button if one.key == "c6_depth_then").click().run()
    assert "At 48 blocks **without**" in said(app)


def test_the_block_that_matters_most_is_named_and_each_loss_shown():
    app = open_page()
    next(one for one in app.radio if one.key == "c6_written_guess").set_value(0).run()
    (answer,) = [one.value for one in (*app.success, *app.info) if "Without block" in one.value]
    whole = float(re.search(r"whole model is ([\d.]+)", answer)[1])
    silent = [float(one) for one in re.findall(r"\*\*([\d.]+)\*\*", answer)]
    assert len(silent) == 4 and min(silent) > whole


def test_fractions_of_the_residual_stream_add_up_to_1(page):
    attention, feedforward, embedding = (
        float(re.search(pattern, said(page))[1])
        for pattern in (
            r"attention layers\s+together\s+(\d+)%",
            r"feed-forward networks\s+(\d+)%",
            r"embedding contributes\s+([\d.]+)%",
        )
    )
    assert attention + feedforward + embedding == pytest.approx(100, abs=1.2)


def test_only_attention_changes_other_positions(page):
    attention, feedforward = re.search(
        r"Attention changes the output at \*\*(\d+)\*\*.*?changes\s+\*\*(\d+)\*\*", said(page), re.DOTALL
    ).groups()
    assert int(attention) > 3 and feedforward == "0"


def test_layernorm_removes_the_shift_and_rmsnorm_does_not(page):
    rms, layer = re.search(
        r"RMSNorm's output changes by ([\d.]+), LayerNorm's by ([\d.]+)", said(page)
    ).groups()
    assert float(rms) > 0.1 and float(layer.rstrip(".")) < 0.001


@pytest.mark.parametrize("place", ("pre", "post", "branch", "pre+branch"))
def test_the_diagram_has_the_norms_of_its_placement_and_two_free_paths(place):
    from gptcore.config import PRESETS
    from pages.labs.block.diagram import block_chart

    nodes, edges = block_chart(PRESETS["nano"].model, 16, place)
    norms = [one for one in nodes if one.label.startswith("norm")]
    assert len(norms) == (4 if place == "pre+branch" else 2)
    assert [(one.source, one.target) for one in edges if one.label] == [("x0", "add1"), ("x1", "add2")]


def test_every_stack_that_can_be_asked_for_can_be_trained():
    from pages.labs.block.depth import RATES, SECONDS, STACKS, request_for
    from pages.labs.block.diagram import NORM_POSITIONS

    for n, place, residual, optimizer in itertools.product(STACKS, NORM_POSITIONS, (True, False), RATES):
        _, train = request_for(n, place, residual, optimizer).configs()
        assert train.seconds == SECONDS


def test_parts_stand_in_the_order_of_every_chapter(page):
    from pages.kit.book import PARTS

    assert [one.value for one in page.header] == list(PARTS.values())
