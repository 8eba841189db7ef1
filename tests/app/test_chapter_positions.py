"""Chapter 4: what the page prints is what an independent computation gives."""

import cmath
import math
import re
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.reading import ROOT, SECONDS, formulas, opened_once, opener, said

Q = (0.8, 0.3, -0.5, 0.2)
K = (0.6, -0.3, 0.1, 0.5)
PAIRS = {"halves": ((0, 2), (1, 3)), "neighbors": ((0, 1), (2, 3))}
# The worked numbers of the literature, to four digits.
KNOWN = {
    "halves": ((0.8530, 0.2980, 0.4030, 0.2030), (0.1217, 0.2959, 0.9355, 0.2060), (-0.7214, 0.2939, 0.6079, 0.2089)),
    "neighbors": ((0.1798, 0.8353, -0.5020, 0.1950), (-0.6057, 0.6026, -0.5039, 0.1900),
                   (-0.8343, -0.1841, -0.5058, 0.1849)),
}  # fmt: skip


open_page = opener("04_positions.py")


page = opened_once(open_page)


def turned(x, position: int, pairing: str, base: float = 10_000.0) -> list[float]:
    """A vector rotated by complex numbers, in plain Python."""
    out = list(x)
    for i, (a, b) in enumerate(PAIRS[pairing]):
        z = complex(x[a], x[b]) * cmath.exp(1j * position * base ** (-2 * i / len(x)))
        out[a], out[b] = z.real, z.imag
    return out


def score(at: int, key_at: int, pairing: str, q=Q, k=K, base: float = 10_000.0) -> float:
    return sum(a * b for a, b in zip(turned(q, at, pairing, base), turned(k, key_at, pairing, base)))


def short(value: float, form: str = ".4f") -> str:
    return format(value, form).rstrip("0").rstrip(".")


@pytest.mark.parametrize("pairing", PAIRS)
def test_the_worked_numbers_of_both_pairings(page, pairing):
    text = formulas(page if pairing == "halves" else open_page(c4_pairing=pairing))
    for position, row in enumerate(KNOWN[pairing], 1):
        for known, computed in zip(row, turned(Q, position, pairing)):
            assert computed == pytest.approx(known, abs=5e-5)
            assert short(computed) in text
    assert text.count(short(score(2, 0, pairing), ".6f")) == 4  # at four positions
    assert text.count(short(score(0, 2, pairing), ".6f")) == 2  # the other way round


def test_the_known_scores_of_neighbouring_pairs():
    assert score(2, 0, "neighbors") == pytest.approx(-0.499612, abs=1e-6)
    assert score(0, 2, "neighbors") == pytest.approx(0.274997, abs=1e-6)
    text = formulas(open_page(c4_pairing="neighbours"))
    assert text.count("-0.499612") == 4 and text.count("0.274997") == 2


def test_the_permutation_makes_one_pairing_of_the_other():
    order = [0, 2, 1, 3]
    for position in range(5):
        by_halves = turned([Q[i] for i in order], position, "halves")
        assert by_halves == pytest.approx([turned(Q, position, "neighbors")[i] for i in order])
    text = said(open_page(c4_more_pairs="true", c4_pairs_width="8"))
    assert "**0, 2, 4, 6, 1, 3, 5, 7**" in text and "0, 4, 1, 5, 2, 6, 3, 7" in text


def test_edited_vectors_come_from_the_link_and_every_step_follows():
    q = (1.5, -0.5, 0.25, 2.0)
    app = open_page(c4_q="1.5,-.5,.25,2", c4_position="5", c4_base="100")
    text = formulas(app)
    for position in range(4):
        for value in turned(q, position, "halves", 100):
            assert short(value) in text
    for value in turned(q, 5, "halves", 100):
        assert f"= {short(value)}" in text
    assert short(score(2, 0, "halves", q=q, base=100), ".6f") in text


def test_the_picture_of_queries_and_keys_names_the_best_answer(page):
    assert "The best match is *Mira*" in said(page)
    best = 0.9 * 0.8 + 0.4 * 0.6
    assert f"with {best:.2f}; chapter 5" in said(page)


def test_the_finding_stands_still_and_is_the_models_own_score(page):
    from gptcore.checkpoint import SHIPPED
    from gptcore.formats import load
    from gptcore.interpret import heads
    from gptcore.stories.scores import reference_probe
    from gptcore.tracing import trace

    before = re.search(r"\*\*Their score is (-?[\d.]+)\.\*\*", said(page))[1]
    after, alone = re.search(
        r"score is still \*\*(-?[\d.]+)\*\*\. If only the query moves, it is \*\*(-?[\d.]+)\*\*",
        said(page),
        re.DOTALL,
    ).groups()
    assert before == after != alone
    model, tokenizer = load(SHIPPED)
    ids = tokenizer.encode(reference_probe()[0].female)
    seen = trace(model, ids)
    name = next(
        i for i, token in enumerate(ids) if tokenizer.token_text(token).strip() in ("Mira", "Anna", "Nora")
    )
    looked = heads.weights(seen)[:, :, -1, name]
    layer, head = divmod(int(looked.argmax()), model.config.n_heads)
    theirs = seen[f"layers.{layer}.attention.scores"][0, head, -1, name]
    assert float(before) == pytest.approx(float(theirs), abs=6e-4)


def test_dragging_both_leaves_the_score_and_dragging_one_does_not(page):
    def read(app):
        return re.search(r"distance (-?\d+): score \*\*(-?[\d.]+)\*\*", said(app)).groups()

    assert read(page) == read(open_page(c4_drag_query="120", c4_drag_key="104"))
    assert read(page)[1] != read(open_page(c4_drag_query="120"))[1]


def test_a_distance_of_either_sign_is_scored_as_complex_numbers_do():
    app = open_page(c4_drag_vectors="of the example", c4_drag_query="3", c4_drag_key="10")
    shown = float(re.search(r"distance -7: score \*\*(-?[\d.]+)\*\*", said(app))[1])
    assert shown == pytest.approx(score(3, 10, "halves") / 2, abs=1e-4)
    assert "A GPT never compares such a pair" in said(app)


@pytest.mark.parametrize(("base", "width", "tokens"), [(10_000, 64, 8192), (500_000, 128, 8192)])
def test_the_clocks_are_counted_as_the_formula_says(base, width, tokens):
    app = open_page(c4_clock_base=str(base), c4_clock_width=str(width), c4_clock_text=str(tokens))
    turns = [math.tau * base ** (2 * i / width) for i in range(width // 2)]
    whole = sum(turn <= tokens for turn in turns)
    assert re.search(rf"Of {width // 2} pairs, \*\*{whole}\*\* complete a rotation", said(app))
    assert f"the slowest **{turns[-1]:,.0f}**" in said(app)


def test_a_higher_base_leaves_fewer_pairs_that_complete_a_rotation():
    def whole(base):
        return int(re.search(r"pairs, \*\*(\d+)\*\* complete", said(open_page(c4_clock_base=base)))[1])

    assert whole("500000") < whole("10000") < whole("100")


def read_losses(app) -> tuple[float, ...]:
    found = re.search(
        r"from ([\d.]+) to \*\*([\d.]+)\*\* within the trained context, and from ([\d.]+) to\s+\*\*([\d.]+)\*\* beyond",
        said(app),
    )
    return tuple(map(float, found.groups()))


def test_beyond_the_context_the_model_fails_linear_kills_and_ntk_spares(page):
    inside, beyond = map(
        float, re.search(r"the loss is \*\*([\d.]+)\*\* .*? \*\*([\d.]+)\*\* beyond", said(page)).groups()
    )
    assert beyond > inside + 0.5
    before, linear, _, _ = read_losses(open_page(c4_far_cure="linear"))
    assert before == inside and linear > inside + 0.3
    _, ntk, raw, far = read_losses(open_page(c4_far_cure="ntk"))
    assert ntk < inside + 0.2 and far < raw


def test_only_the_mask_brings_order_to_a_model_without_positions(page):
    assert "the output changes by **" in said(page)  # two layers, causal mask
    assert "the output doesn't change" in said(open_page(c4_order_layers="1"))
    assert "the output doesn't change" in said(open_page(c4_order_layers="4", c4_order_mask="false"))


def test_a_lab_answers_a_prediction(page):
    app = open_page()
    app.radio(key="c4_far_guess").set_value(2).run()
    assert any("Correct" in one.value for one in app.success)
    next(button for button in app.button if button.key == "c4_far_then").click().run()
    assert not app.exception
    assert "With *linear* scaling by a factor of 4" in said(app)


def test_the_runs_of_the_lab_differ_in_positions_alone():
    from gptcore.runs.request import RunRequest
    from pages.labs.positions.order import SCHEMES, STEPS, request_for

    requests = [request_for(scheme) for scheme in SCHEMES]
    settings = [dict(request.settings) for request in requests]
    assert [chosen.pop("position") for chosen in settings] == list(SCHEMES)
    assert all(chosen == settings[0] for chosen in settings)
    assert {replace(request, settings=settings[0]) for request in requests} == {
        RunRequest(steps=STEPS, seed=1, settings=settings[0])
    }


def test_what_the_runs_came_to_is_told_by_their_losses():
    def script(losses):
        from pages.labs import positions
        from pages.kit import words

        positions.order.verdict(words.load("04_positions"), losses)

    near = {"rope": 1.9, "learned": 2.40, "sinusoidal": 2.5, "none": 2.35}
    app = AppTest.from_function(script, kwargs={"losses": near}, default_timeout=SECONDS).run()
    assert "RoPE is clearly ahead" in said(app) and "within the noise" in said(app)
    other = {"rope": 2.4, "learned": 2.0, "sinusoidal": 2.5, "none": 2.6}
    app = AppTest.from_function(script, kwargs={"losses": other}, default_timeout=SECONDS).run()
    assert "RoPE is clearly ahead" not in said(app) and "within the noise" not in said(app)


def test_misconceptions_are_met_on_the_page(page):
    text = said(page) + "\n".join(one.label for one in page.radio)
    for sentence in ("Now the model without positions", "does not *work* at any length", "A higher base"):
        assert sentence in text
    words = (ROOT / "pages/text/en/questions/04_positions.md").read_text(encoding="utf-8")
    assert "a position vector is added to it" in words and "Not the values" in words


def test_parts_stand_in_the_order_of_every_chapter(page):
    from pages.kit.book import PARTS

    assert [one.value for one in page.header] == list(PARTS.values())
