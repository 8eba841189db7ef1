"""The explainers' page: the list, one topic with its blocks alive, and the whole set to print."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explainers import library
from explainers.execution import Answer
from pages.labs.explainers import cached

ROOT = Path(__file__).resolve().parents[2]
TOPIC = "why-divide-by-root-d"


@pytest.fixture
def asked(monkeypatch):
    """Blocks answer at once with what they were asked, so that no test of the page waits for torch."""
    requests = []

    def answer(topic, number, values):
        requests.append((topic, number, values))
        figure = {"data": [{"type": "bar", "y": [1]}], "layout": {"title": {"text": "A figure"}}}
        return Answer(output=f"asked {topic} {number} {values}\n", figure=json.dumps(figure))

    monkeypatch.setattr("explainers.execution.run_block", answer)
    cached.block_answer.clear()
    yield requests
    cached.block_answer.clear()


def page(**parameters: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "explainers.py"), default_timeout=60)
    app.query_params.update(parameters)
    return app.run()


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in [*app.markdown, *app.caption, *app.subheader])


def test_the_list_holds_every_explainer_by_chapter_and_by_theme(asked):
    app = page()
    for explainer in library.explainers():
        assert explainer.summary in texts(app)
    assert "5 · Attention" in texts(app)
    assert not asked, "a list runs no block"
    assert "The large view" in texts(page(by="theme"))


def test_a_search_shows_what_holds_all_words(asked):
    app = page()
    app.text_input(key="find").set_value("softmax overflow").run()
    found = [hit.explainer for hit in library.search("softmax overflow")]
    assert TOPIC in [explainer.topic for explainer in found]
    missing = next(explainer for explainer in library.explainers() if explainer not in found)
    assert missing.summary not in texts(app)
    app.text_input(key="find").set_value("zebra crossing").run()
    assert "No explainer contains all these words" in texts(app)


def test_a_topic_shows_its_text_its_sliders_and_what_its_blocks_print(asked):
    app = page(topic=TOPIC)
    explainer = library.explainer(TOPIC)
    assert [title.value for title in app.title] == [explainer.title]
    n_sliders = sum(len(block.constants) for block in explainer.blocks)
    assert len(app.slider) + len(app.select_slider) == n_sliders
    shown = [code.value for code in app.code]
    assert explainer.blocks[1].expected.strip() in [code.strip() for code in shown]
    assert {number for _, number, _ in asked} == {b.number for b in explainer.blocks if b.draws}


def test_a_slider_runs_its_block_again_and_leads_back(asked):
    app = page(topic=TOPIC)
    app.select_slider(key=f"{TOPIC}_1_d_k").set_value(256).run()
    assert asked[-1] == (TOPIC, 1, {"d_k": 256})
    assert any("d_k = 256  # 2 … 1024" in code.value for code in app.code)
    assert "assumes `d_k` = 64" in texts(app)
    app.button(key=f"back_{TOPIC}_1").click().run()
    assert app.select_slider(key=f"{TOPIC}_1_d_k").value == 64


def test_a_slider_moves_the_blocks_that_go_on_from_it(asked):
    topic = "backpropagation-by-hand"
    app = page(topic=topic)
    app.slider(key=f"{topic}_1_seed").set_value(5).run()
    moved = {number: values for _, number, values in asked if values}
    assert moved == {n: {"seed": 5} for n in (1, 2, 3, 4)}


def test_a_block_that_fails_is_told_on_the_page(monkeypatch):
    monkeypatch.setattr("explainers.execution.run_block", lambda *_: Answer(error="it took too long"))
    cached.block_answer.clear()
    app = page(topic=TOPIC)
    assert any("it took too long" in error.value for error in app.error)
    assert not app.exception


@pytest.mark.parametrize("topic", ["nowhere", "../../etc/passwd", ""])
def test_an_address_that_does_not_exist_is_told(topic, asked):
    app = page(topic=topic)
    assert any(f"`topic={topic}`, which was ignored" in warning.value for warning in app.warning)
    assert [title.value for title in app.title] == ["Explainers"]


def test_the_whole_set_is_one_page_without_controls(asked):
    app = page(print="true")
    assert [header.value for header in app.header] == [one.title for one in library.explainers()]
    assert not app.main.slider and not app.main.select_slider


def test_every_topic_opens(asked):
    for explainer in library.explainers():
        app = page(topic=explainer.topic)
        assert not app.exception, explainer.topic
