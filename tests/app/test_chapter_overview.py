"""Chapter 0: what the page computes, with the real model."""

import math
import re

import pytest
from streamlit.testing.v1 import AppTest

from pages.kit import models
from tests.app.reading import ROOT, opener, said

open_page = opener("00_overview.py")


def prompt(app: AppTest):
    return next(field for field in app.text_input if field.key == "c0_prompt")


def test_the_two_beginnings_differ_in_the_name_alone_and_it_stands_far_back():
    from pages.kit.pronoun_story import pronoun_story

    story = pronoun_story()
    assert story.words_back >= 14
    assert len(re.findall(r"[A-Za-z]+", story.after)) == story.words_back - 1
    first, second = (story.with_name(name).split() for name in story.names)
    assert [pair for pair in zip(first, second) if pair[0] != pair[1]] == [story.names]


def test_each_moment_of_training_is_another_model_and_later_than_the_one_before():
    from pages.labs import overview

    found = overview.moments.moments(models.shipped())
    assert [moment.option for moment in found][:: len(found) - 1] == ["0", "full"]
    assert found[0].step == 0
    assert [moment.option for moment in found] == [
        o for o in overview.moments.SECONDS if o in {m.option for m in found}
    ]
    steps = [moment.step for moment in found]
    assert steps == sorted(set(steps))


def test_softmax_and_surprise_are_those_of_the_scores_in_the_link():
    scores = [2.0, 1.0, 0.5, 0.1]
    app = open_page(c0_logits_0=",".join(map(str, scores)))
    assert not app.exception
    share = math.exp(scores[0]) / sum(map(math.exp, scores))
    formulas = "\n".join(piece.value for piece in app.latex)
    assert f"= {share:.3f}" in formulas
    assert f"{-math.log(share):.3f}" in formulas


def test_illegal_scores_of_a_link_are_told():
    app = open_page(c0_logits_0="2,1,a")
    assert any("c0_logits_0" in warning.value and "4 numbers" in warning.value for warning in app.warning)


def test_words_the_model_never_met_are_told():
    app = open_page()
    assert "never occurred in training" not in said(app)
    prompt(app).set_value("The king opened his laptop and").run()
    assert "never occurred in training" in said(app)


def test_a_prompt_longer_than_the_context_gets_one_sentence_and_stays():
    app = open_page()
    long = "Once upon a time there was a young queen. " * 60
    prompt(app).set_value(long).run()
    assert [error.value for error in app.error if "context" in error.value]
    assert prompt(app).value == long
    assert not app.exception


def test_taking_back_removes_one_token():
    app = open_page()
    before = prompt(app).value
    next(button for button in app.button if button.key == "c0_back").click().run()
    after = prompt(app).value
    assert before.startswith(after)
    assert len(after) < len(before)


def verdict_page(his: tuple[float, float], hers: tuple[float, float]):
    from pages.labs import overview
    from pages.kit import replay, words
    from pages.kit.pronoun_story import pronoun_story

    story = pronoun_story()
    duel = [
        replay.Duel(name, list(zip(story.pronouns, shares)), True)
        for name, shares in zip(story.names, (his, hers))
    ]
    overview.finding.verdict(duel, story, words.load("00_overview"))


@pytest.mark.parametrize(
    ("his", "hers", "sentence"),
    [
        ((0.6, 0.1), (0.1, 0.6), "follows it"),
        ((0.6, 0.1), (0.4, 0.3), "has some effect"),
        ((0.3, 0.3), (0.3, 0.3), "ignores the name"),
    ],
)
def test_the_verdict_on_the_name_can_come_out_three_ways(his, hers, sentence):
    app = AppTest.from_function(verdict_page, kwargs={"his": his, "hers": hers}).run()
    assert not app.exception
    assert sentence in said(app)


def test_parts_stand_in_the_order_of_every_chapter_below_the_story():
    from pages.kit.book import PARTS

    app = open_page()
    assert not app.exception
    assert [one.value for one in app.header] == list(PARTS.values())


def test_outside_its_world_it_is_no_less_willing_to_go_on():
    app = open_page(c0_out_prompt="Photosynthesis is the process by which")
    found = re.search(
        r"of the top token is (\d+)%; for beginnings of its own stories, it is (\d+)%", said(app)
    )
    assert found and int(found[1]) > 10


def test_the_table_of_moments_ends_where_the_name_decides():
    app = open_page()
    rows = re.findall(r"\| ([\d.]+) s \| ([\d.]+)% \| ([\d.]+)% \|", said(app))
    assert len(rows) >= 3
    (_, his, hers), (_, late_his, late_hers) = rows[0], rows[-1]
    assert abs(float(his) - float(hers)) < 5 < 50 < float(late_hers) - float(late_his)


def test_what_it_is_told_it_knows_in_the_same_text_alone():
    app = open_page(c0_more_chat="true", c0_chat_times="2")
    inside, fresh, before = re.search(
        r"\*\*([\d.]+)%\*\*\. In a new text it is \*\*([\d.]+)%\*\*, exactly as .*?: ([\d.]+)%",
        said(app),
        flags=re.DOTALL,
    ).groups()
    assert fresh == before and float(inside) > 50 > float(fresh)


def test_a_bet_has_a_loss_in_nats():
    from gptcore.stories.writer import write_story
    from pages.labs.overview.bet import UNSEEN_SEED, WORDS_BEFORE

    app = open_page(c0_more_guess="true", c0_guess_story="3", c0_guess_show="true", c0_guess_p="0.25")
    actual = write_story(UNSEEN_SEED + 3).text.split(" ")[WORDS_BEFORE + 3].strip('.,?!"')
    assert f"It was **{actual}**" in said(app)
    next(box for box in app.selectbox if box.key == "c0_guess_word").set_value(actual).run()
    assert f"Loss in nats: you {-math.log(0.25):.2f}," in said(app)
    assert f"{math.log(2048):.2f}" in said(app)


def test_an_unlikely_word_is_predicted_and_put_in_by_a_button():
    app = open_page()
    next(radio for radio in app.radio if radio.key == "c0_next_guess").set_value(1).run()
    before = prompt(app).value
    next(button for button in app.button if button.key == "c0_next_then").click().run()
    assert prompt(app).value.startswith(before) and len(prompt(app).value) > len(before)


def test_the_diagram_names_what_the_model_computes():
    from gptcore.checkpoint import SHIPPED
    from gptcore.formats import load
    from gptcore.tracing import trace

    model, tokenizer = load(SHIPPED)
    top = {name.split(".")[0] for name in trace(model, tokenizer.encode("Once"))}
    drawn = (ROOT / "pages/labs/overview/diagram.py").read_text(encoding="utf-8")
    boxes = {
        "embedding": "embedding matrix", "positioned": "rotates queries by position",
        "layers": "attention to earlier tokens",
        "final_normed": "final norm", "logits": "logits", "probabilities": "probabilities",
    }  # fmt: skip
    assert top == set(boxes)
    assert all(label in drawn for label in boxes.values())


def test_a_claim_measured_once_shows_no_range():
    text = said(open_page())
    assert "(a weight; measured once)" in text
    assert re.search(r"\(its sentences; [\d.]+ to [\d.]+ in 3 repetitions\)", text)
