"""The front page: its first text is what the shipped model writes, and what is asked for is written."""

import json
import shutil

import pytest

from pages.labs import home
from gptcore.account import n_parameters
from gptcore.lessons.token_flow import token_flows
from gptcore.runs import queue
from gptcore.runs.run import request_file
from pages.kit import living_model, models, progress, visitor
from pages.kit.pronoun_story import pronoun_story
from tests.app.reading import ROOT, opener
from tests.app.test_page_runs import write_run

open_page = opener("home.py")
FINISHED = ROOT / "tests" / "first_edition" / "runs" / "finished"


def rounded(value):
    """A structure with its numbers cut to what another processor computes too."""
    match value:
        case dict():
            return {key: rounded(part) for key, part in value.items()}
        case list() | tuple():
            return [rounded(part) for part in value]
        case float():
            return pytest.approx(value, rel=2e-3, abs=2e-3)
    return value


def test_the_first_text_is_what_the_shipped_model_writes():
    model, tokenizer = models.shipped().load()
    ids = tokenizer.encode(living_model.FIRST_START)
    flows = token_flows(model, ids, home.flows.N_NEW, stop_ids=(tokenizer.eot_id,))
    computed = living_model.as_data(ids, flows, tokenizer)
    first = living_model.first_text()
    assert first["given"] == computed["given"] and len(first["steps"]) == len(computed["steps"])
    assert (first["width"], first["parameters"]) == (model.config.d_model, n_parameters(model.config))
    for kept, step in zip(first["steps"], computed["steps"]):
        assert kept["token"] == step["token"]
        assert [kept["top"][0], kept["layers"]] == rounded([step["top"][0], step["layers"]])
    story = pronoun_story()
    assert (story.text, story.names) == (living_model.FIRST_START, living_model.NAMES)


def test_the_page_offers_three_ways_in_and_goes_on_where_the_visitor_stopped():
    app = open_page()
    labels = [button.label for button in app.main.button if (button.key or "").startswith("home_")]
    assert labels == ["Learn", "Train one now", "Explore the model"]
    progress_file = progress._file()
    progress_file.parent.mkdir(parents=True, exist_ok=True)
    progress_file.write_text('{"passed":[],"last":"attention"}', encoding="utf-8")
    app = open_page()
    button = next(button for button in app.main.button if button.key == "home_go_on")
    assert button.label == "Continue: 5 · Attention"
    button.click().run()
    assert [title.value for title in app.title] == ["Attention"]


@pytest.mark.parametrize("key", ["home_start", "home_temperature"])
def test_a_link_may_ask_for_a_start_and_a_temperature(key):
    values = {"home_start": "Tom saw a fox", "home_temperature": "0.8"}
    app = open_page(**{key: values[key]})
    assert app.session_state[key] == values[key]
    assert app.query_params[key] == values[key]


def test_a_temperature_that_is_not_offered_is_told():
    app = open_page(home_temperature="9")
    assert [warning for warning in app.warning if "home_temperature=9" in warning.value]
    assert app.session_state["home_temperature"] == "0"


def test_a_start_longer_than_the_context_gets_one_sentence():
    app = open_page(home_start="Tom saw a fox. " * 19)
    assert not app.error
    app.session_state["home_start"] = "Tom saw a fox. " * 100
    app.run()
    assert ["context" in error.value for error in app.error] == [True]


def test_the_same_run_is_asked_for_until_it_is_over():
    request = home.training.next_request()
    run = queue.submit(request, owner=visitor.HOME)
    assert home.training.next_request() == request
    asked = request_file(run.folder)
    kept = {name: value for name, value in json.loads(asked.read_text()).items() if name != "waiting"}
    asked.write_text(json.dumps(kept))
    write_run(run.folder, steps=1)
    assert home.training.next_request().seed == request.seed + 1


@pytest.mark.parametrize("file", ["00_overview.py", "03_embeddings.py", "05_attention.py"])
def test_a_page_says_where_it_shows_another_model_than_the_one_in_use(file, own_runs):
    shutil.copytree(FINISHED, own_runs / "finished")
    app = opener(file)(model="finished")
    captions = [caption.value for caption in app.caption]
    assert any(caption.startswith("Model in use: ") for caption in captions)
    assert any(caption.startswith("This shows the shipped model.") for caption in captions)
    next(button for button in app.button if button.key == "model_back").click().run()
    assert not [caption.value for caption in app.caption if "shipped model" in caption.value]
    assert app.sidebar.selectbox(key="model_chosen").value == models.SHIPPED
