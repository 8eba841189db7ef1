"""Chapter 7: what the page counts is what the real modules hold, and what it says follows from it."""

import re

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.reading import SECONDS, formulas, opened_once, opener, said

open_page = opener("07_model.py")


page = opened_once(open_page)


def big(value: int) -> str:
    return f"{value:,}".replace(",", "{,}")


def test_the_example_counts_the_shipped_model(page):
    from gptcore.checkpoint import SHIPPED
    from gptcore.formats import load

    model, _ = load(SHIPPED)
    assert f"= {big(sum(weight.numel() for weight in model.parameters()))}" in formulas(page)


def test_an_edited_example_counts_what_a_built_model_holds():
    from gptcore.config import ModelConfig
    from gptcore.model import GPT

    app = open_page(
        c7_v="512", c7_c="64", c7_l="3", c7_h="8", c7_k="2", c7_f="96", c7_tied="false", c7_t="32"
    )
    config = ModelConfig(vocab_size=512, context_length=64, d_model=64, n_layers=3, n_heads=8, n_kv_heads=2,
                         d_ff=96, tie_embeddings=False)  # fmt: skip
    model = GPT(config)
    total = sum(weight.numel() for weight in model.parameters())
    assert f"= {big(total)}" in formulas(app)
    # Every product by hand: two FLOPs per parameter and token, and four for each pair of tokens and number.
    assert rf"2 \cdot 32 \cdot 64 \cdot 512 = {big(2 * 32 * 64 * 512)}" in formulas(app)
    assert rf"4 \cdot 3 \cdot 32 \cdot 32 \cdot 64 = {big(4 * 3 * 32**2 * 64)}" in formulas(app)


def test_flops_of_the_example_are_those_torch_counts():
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from gptcore.config import PRESETS
    from gptcore.model import GPT

    app = open_page(c7_t="32")
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        GPT(PRESETS["nano"].model)(torch.zeros(1, 32, dtype=torch.int64), path="explicit")
    shown = int(re.search(r"In total, \*\*([\d,]+)\*\* FLOPs for 32 tokens", said(app))[1].replace(",", ""))
    assert shown == pytest.approx(counted.get_total_flops(), rel=0.01)


def test_a_lesson_link_opens_the_first_steps_only():
    app = open_page(step="3")
    assert "##### 3 · " in said(app) and "##### 4 · " not in said(app)
    assert "In total, **" not in said(app)


def test_an_illegal_example_says_which_rule_it_breaks():
    app = open_page(c7_c="8", c7_h="8")
    assert any("head_dim=1 must be even" in error.value for error in app.error)
    assert [one.value for one in app.header][-1] == "Further reading"


def test_three_quarters_of_tiny_are_its_embedding_matrix(page):
    assert "**17,062,400** parameters. **75%** of them" in said(page)


@pytest.mark.parametrize(
    ("name", "weights", "saves"),
    [
        ("tiny", "17,062,400", "43.0%"),
        ("small", "151,862,784", "20.3%"),
        ("GPT-2 small", "124,439,808", "23.7%"),
        ("LLaMA 2 7B", "6,738,415,616", "1.9%"),
        ("Mistral 7B", "7,241,732,096", "1.8%"),
        ("Qwen 2.5 7B", "7,615,616,512", "7.2%"),
        ("LLaMA 3 8B", "8,030,261,248", "6.5%"),
    ],
)
def test_what_tying_saves_in_known_models(name, weights, saves):
    text = said(open_page(c7_published_model=name, hide="example,code,diagram,measured,check"))
    assert f"**{name}** has {weights} parameters" in text
    assert f"**{saves}** of the untied model's parameters" in text


def test_context_costs_no_parameters_with_rotary_positions_and_some_with_learned(page):
    def answer(app) -> str:
        app.radio(key="c7_cost_guess").set_value(1).run()
        return "\n".join(one.value for one in [*app.success, *app.info])

    assert "Correct. +0 parameters" in answer(open_page())
    assert "Not quite: It grows. +32,768 parameters" in answer(open_page(c7_cost_position="learned"))


def test_the_lens_ends_in_the_prediction_and_begins_with_an_echo(page):
    import torch

    from gptcore.checkpoint import SHIPPED
    from gptcore.formats import load
    from gptcore.stories.scores import reference_probe

    model, tokenizer = load(SHIPPED)
    ids = tokenizer.encode(reference_probe()[0].female)
    with torch.no_grad():
        share, best = torch.softmax(model(torch.tensor([ids]))[0, -1], -1).max(-1)
    assert f"the model predicts *{tokenizer.token_text(int(best)).strip()}* ({float(share):.0%})" in said(
        page
    )
    app = open_page()
    app.radio(key="c7_lens_guess").set_value(2).run()
    assert any("Correct" in one.value and "compared with itself" in one.value for one in app.success)


def test_the_lab_says_whether_the_law_through_three_sizes_holds():
    def script(losses):
        from pages.labs import model
        from pages.kit import words

        model.scaling.outcome(words.load("07_model"), losses, 0.5, 1.5)

    from gptcore.experiments.measurements.model import SIZES
    from pages.labs.model.scaling import weights

    on_law = {name: 0.5 + 40 * weights(name) ** -0.3 for name in SIZES}
    app = AppTest.from_function(script, kwargs={"losses": on_law}, default_timeout=SECONDS).run()
    assert not app.exception
    assert "N^−0.30" in said(app) and "three small models predicted a larger one" in said(app)
    off = on_law | {"96 × 4": on_law["96 × 4"] + 0.4}
    app = AppTest.from_function(script, kwargs={"losses": off}, default_timeout=SECONDS).run()
    assert "0.400 above the law" in said(app) and "More than 0.1 nats off" in said(app)


def test_an_untrained_tied_model_starts_above_ln_v_and_repeats():
    text = said(open_page(c7_more_birth="true"))
    loss, uniform, repeats = re.search(
        r"starts at ([\d.]+), a little above\s+([\d.]+)\. For (\d+)%", text
    ).groups()
    assert 0 < float(loss) - float(uniform) < 0.1 and int(repeats) > 90


def test_runs_of_the_lab_differ_in_size_alone():
    from gptcore.account import n_parameters
    from gptcore.experiments.measurements.model import SIZES
    from pages.labs.model.scaling import request_for, weights

    for name in SIZES:
        model, _ = request_for(name).configs()
        assert n_parameters(model) == weights(name)


def test_parts_stand_in_the_order_of_every_chapter(page):
    from pages.kit.book import PARTS

    assert [one.value for one in page.header] == list(PARTS.values())
