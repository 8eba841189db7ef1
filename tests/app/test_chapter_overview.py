"""Chapter 0: what the page computes, with the real model."""

import math
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120


def open_page(**parameters: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS).switch_page("pages/00_overview.py")
    for key, value in parameters.items():
        app.query_params[key] = value
    return app.run()


def said(app: AppTest) -> str:
    return "\n".join(piece.value for piece in app.markdown)


def prompt(app: AppTest):
    return next(field for field in app.text_input if field.key == "c0_prompt")


def test_the_two_beginnings_differ_in_the_name_alone_and_it_stands_far_back():
    from pages.labs.overview import told

    tale = told()
    assert tale.words_back >= 14
    assert len(re.findall(r"[A-Za-z]+", tale.after)) == tale.words_back - 1
    first, second = (tale.text(name).split() for name in tale.names)
    assert [pair for pair in zip(first, second) if pair[0] != pair[1]] == [tale.names]


def test_each_moment_of_training_is_another_model_and_later_than_the_one_before():
    from pages.kit import session
    from pages.labs import overview

    path = session.shipped_path()
    model = session.InUse(session.SHIPPED, "", path, *session.load(path, session.changed(path)))
    found = overview.moments(model)
    assert [moment.option for moment in found][:: len(found) - 1] == ["0", "full"]
    assert found[0].step == 0
    assert [moment.option for moment in found] == [
        o for o in overview.SECONDS if o in {m.option for m in found}
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
    assert "never met" not in said(app)
    prompt(app).set_value("The king opened his laptop and").run()
    assert "never met" in said(app)


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
    from pages.kit import replay, words
    from pages.labs import overview

    tale = overview.told()
    duel = [
        replay.Duel(name, list(zip(tale.pronouns, shares)), True)
        for name, shares in zip(tale.names, (his, hers))
    ]
    overview.verdict(duel, tale, words.load("00_overview"))


@pytest.mark.parametrize(
    ("his", "hers", "sentence"),
    [
        ((0.6, 0.1), (0.1, 0.6), "follows it"),
        ((0.6, 0.1), (0.4, 0.3), "begun to matter"),
        ((0.3, 0.3), (0.3, 0.3), "blind to the name"),
    ],
)
def test_the_verdict_on_the_name_can_come_out_three_ways(his, hers, sentence):
    app = AppTest.from_function(verdict_page, kwargs={"his": his, "hers": hers}).run()
    assert not app.exception
    assert sentence in said(app)
