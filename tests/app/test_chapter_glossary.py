"""Chapter 11: what the page counts and says is so, every word has a picture, and every round one false sentence."""

import doctest
import math
import random

import pytest

from pages.labs import glossary
from pages.kit import book, search, words
from pages.kit.figures import Picture
from tests.app.reading import formulas, opened_once, opener, said

LABS_ONLY = "analogy,example,code,diagram,measured,check,deeper"


open_page = opener("11_glossary.py")


page = opened_once(open_page, c11_more_formulas="true", c11_more_origins="true")


def big(value: int) -> str:
    return f"{value:,}".replace(",", "{,}")


def test_the_preset_of_151_million_is_counted_term_by_term(page):
    c, f, layers, v = 768, 3072, 12, 50_257
    terms = (v * c, layers * c * c, 2 * layers * c * c, 3 * layers * c * f, 2 * layers * c, c)
    for value in (*terms, v * c + layers * (4 * c * c + 3 * c * f + 2 * c) + c):
        assert f"= {big(value)}" in formulas(page)
    assert "would have 123,551,232 parameters" in said(page)


def test_an_edited_example_counts_what_a_built_model_holds():
    from gptcore.config import ModelConfig
    from gptcore.model import GPT

    app = open_page(
        c11_v="2048", c11_c="128", c11_f="384", c11_l="2", c11_h="4", c11_k="2", c11_t="256", c11_ffn="gelu",
        c11_tied="false", c11_norm="layernorm", c11_position="learned", c11_bias="all",
        hide="analogy,code,diagram,lab,measured,check,deeper",
    )  # fmt: skip
    config = ModelConfig(
        vocab_size=2048, context_length=256, d_model=128, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=384,
        ffn="gelu", norm="layernorm", position="learned", bias="all", tie_embeddings=False,
    )  # fmt: skip
    assert f"= {big(sum(weight.numel() for weight in GPT(config).parameters()))}" in formulas(app)


def test_an_illegal_shape_says_which_rule_it_breaks():
    app = open_page(c11_k="8", c11_h="4", hide="analogy,code,diagram,lab,measured,check,deeper")
    assert any(
        "n_heads=4 must be divisible by n_kv_heads=8; try n_kv_heads=4" in error.value for error in app.error
    )


@pytest.mark.parametrize("term", glossary.terms.TERMS, ids=lambda term: term.section)
def test_every_word_has_an_entry_and_a_picture_at_both_ends_of_its_dial(term):
    assert glossary.terms.words.load("glossary_terms").sections[term.section].startswith(f"### {term.name}\n")
    assert any(row.number == term.chapter for row in book.TABLE)
    if term.topic:
        assert glossary.terms.explainer(term.topic).title
    for value in (None,) if term.dial is None else (term.dial.low, term.start, term.dial.high):
        made = term.draw() if value is None else term.draw(value)
        assert (made.alt and made.figure.data) if isinstance(made, Picture) else made


def test_names_of_words_are_all_different_and_found_by_themselves():
    names = [term.name for term in glossary.terms.TERMS]
    assert len(set(names)) == len(names) >= 50
    for name in names:
        assert name in [term.name for term in glossary.terms.matching_terms(name)]
    assert glossary.terms.matching_terms("cache")[0].name == "KV cache"
    assert not glossary.terms.matching_terms("xylophone")


def test_a_link_opens_a_word_and_a_search_narrows_the_choice():
    app = open_page(c11_term="softmax", hide=LABS_ONLY)
    assert app.selectbox(key="c11_term").value == "softmax"
    assert "### softmax" in said(app)
    app = open_page(c11_find="rope", hide=LABS_ONLY)
    assert app.selectbox(key="c11_term").value == "RoPE"
    assert "causal mask" not in app.selectbox(key="c11_term").options
    app = open_page(c11_find="perplexty", hide=LABS_ONLY)
    assert app.selectbox(key="c11_term").value == "perplexity"
    assert "No entry contains “perplexty”. These contain “perplexity”" in said(app)
    app = open_page(c11_find="xylophone", hide=LABS_ONLY)
    assert "No term matches all these words" in said(app)


def test_the_field_of_the_book_finds_the_words_too():
    found = search.find("softmax", [(name, "Glossary") for row in book.TABLE for name, _ in row.also])
    assert found[0].heading == "softmax"


@pytest.mark.parametrize("fact", glossary.game.FACTS, ids=lambda fact: fact.section)
def test_a_true_and_a_false_sentence_differ_and_both_are_explained(fact):
    for seed in range(5):
        true, false = (glossary.game.sentence(fact, one, random.Random(seed)) for one in (True, False))
        assert true.says != false.says
        assert true.because == false.because and true.says.endswith(".") and true.because


def numbers(section: str, seed: int) -> dict:
    fact = next(one for one in glossary.game.FACTS if one.section == section)
    return dict(fact.numbers(random.Random(seed)))


@pytest.mark.parametrize("seed", range(6))
def test_true_numbers_of_the_game_are_those_of_plain_arithmetic(seed):
    known = {"nano": 1_115_264, "tiny": 17_062_400, "small": 151_862_784}
    drawn = numbers("weights", seed)
    assert drawn["right"] == known[drawn["name"]]
    drawn = numbers("cache", seed)
    assert drawn["right"] == pytest.approx(2 * 32 * 8 * 128 * drawn["n"] * 2 / 1e9)
    drawn = numbers("memory", seed)
    assert drawn["right"] == pytest.approx(16 * drawn["millions"] / 1000)
    drawn = numbers("first_loss", seed)
    assert math.exp(drawn["right"]) == pytest.approx(drawn["size"])
    drawn = numbers("masked", seed)
    assert drawn["right"] == drawn["n"] * (drawn["n"] + 1) // 2
    drawn = numbers("rope", seed)
    assert drawn["right"] == pytest.approx(drawn["same"], abs=1e-4) != pytest.approx(drawn["wrong"], abs=1e-3)
    drawn = numbers("penalty", seed)
    assert drawn["right"] == pytest.approx(-2 * drawn["by"])
    assert numbers("heads", seed)["right"] == numbers("context", seed)["right"] == 0
    assert numbers("scores", seed)["right"] == 4


def test_facts_without_numbers_are_so():
    import torch

    from gptcore.lessons.published_models import PUBLISHED

    bases = [PUBLISHED[name].config.rope_theta for name in ("LLaMA 2 7B", "LLaMA 3 8B")]
    assert bases == [10_000.0, 500_000.0]
    assert (
        torch.get_autocast_dtype("cuda") == torch.float16
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )

    def pull(beta: float, margin: float) -> float:
        return beta / (1 + math.exp(beta * margin))

    assert pull(0.5, 0) > pull(0.1, 0) and pull(0.5, 10) < pull(0.1, 10)


def test_every_round_has_one_false_sentence_and_repeats():
    seen = set()
    for round_ in range(1, 120):
        sentences = glossary.game.deal(7, round_)
        assert [one.true for one in sentences].count(False) == 1
        assert sentences == glossary.game.deal(7, round_)
        seen |= {one.section for one in sentences if not one.true}
    assert len(seen) > 25
    assert glossary.game.deal(7, 1) != glossary.game.deal(8, 1)


def test_the_false_sentence_is_found_and_a_true_one_explained():
    app = open_page(seed="7", c11_game_round="3", hide=LABS_ONLY)
    sentences = glossary.game.deal(7, 3)
    false = next(place for place, one in enumerate(sentences) if not one.true)
    app.radio(key="c11_game_7_3").set_value((false + 1) % 4).run()
    assert any(sentences[(false + 1) % 4].because in one.value for one in app.warning)
    app.radio(key="c11_game_7_3").set_value(false).run()
    assert any("Correct" in one.value for one in app.success)
    assert "c11.false_sentence" in app.session_state["progress"]["passed"]
    assert any("0 of 1 rounds" in one.value for one in app.caption)  # the first try counts
    app.button(key="c11_game_next").click().run()
    assert app.number_input(key="c11_game_round").value == 4


@pytest.mark.parametrize("question", glossary.faq.QUESTIONS, ids=lambda one: one.section)
def test_every_question_has_an_answer_with_its_numbers(question):
    title, _, body = words.load("glossary_faq").sections[question.section].partition("\n")
    assert title.startswith("### ") and title.endswith("?")
    assert "[[" not in words.fill(body, question.numbers())
    assert any(row.number == question.chapter for row in book.TABLE)


def test_a_link_opens_a_question():
    app = open_page(c11_faq_memory="true", c11_faq_find="memory", hide=LABS_ONLY)
    assert "LLaMA 3 8B takes 16.1 GB in bf16" in said(app)
    assert "Training it with AdamW in fp32 takes 128 GB" in said(app)


def test_formulas_carry_the_numbers_of_the_chosen_model(page):
    shown = formulas(page)
    assert r"\ln 50{,}257 = 10.8249" in shown
    assert r"e^{3.0} = 20.09" in shown
    assert rf"6 \cdot N \cdot T \approx {glossary.formulas.power(6 * 151_862_784 * 1024)}" in shown


def test_the_table_of_models_says_what_their_configs_say(page):
    table = next(one.value for one in page.dataframe if "Norm and placement" in one.value.columns)
    rows = table.set_index("Model")
    assert rows.loc["LLaMA 3 8B"]["Positions"] == "RoPE, base 500,000"
    assert rows.loc["Qwen 2.5 7B"]["Biases"] == "on queries, keys, values"
    assert rows.loc["GPT-2 small"]["Norm and placement"] == "LayerNorm, pre-norm"
    assert list(rows["Year"]) == sorted(rows["Year"])


def test_examples_in_docstrings_are_true():
    assert doctest.testmod(glossary.finding).failed == 0


def test_parts_stand_in_the_order_of_every_chapter(page):
    assert [one.value for one in page.header] == list(book.PARTS.values())
