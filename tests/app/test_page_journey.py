"""The journey: what the map shows are the numbers of the pass, and whatever a sentence holds, it can be drawn."""

import base64
import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.labs import journey
from gptcore.interpret.ablation import Ablation
from gptcore.interpret.computations import _FORMS
from gptcore.interpret.stages import matrix_rows
from pages.kit import models, trace_map
from pages.labs.journey import cached

ROOT = Path(__file__).resolve().parents[2]
SHORT = "Tom and Mira went to the river."


def passed(text: str = SHORT, what=None, swap=None, view: str = "pass") -> cached.Journey:
    return cached.journey(models.shipped(), text, what, swap, view)


def given(text: str = SHORT, view: str = "pass"):
    words = journey.panel.panel_words("swiglu", text)
    return cached.journey_widget_data(models.shipped(), text, None, None, view, _known=words)


def test_the_numbers_of_the_map_are_those_of_the_trace():
    one = passed()
    for stage in one.trace_map.stages:
        values = stage.values.numpy()
        tensor = one.seen[stage.name][0]
        rows = tensor if tensor.dim() == 2 else tensor.transpose(0, 1).flatten(1)
        drawn = rows if stage.columns is None else rows.gather(1, stage.columns)
        np.testing.assert_allclose(values, drawn.numpy(), rtol=1e-3, atol=1e-6)
    said = one.trace_map.stages[-1].said
    assert [row[0][2] for row in said] == pytest.approx(one.seen["probabilities"][0].amax(-1).tolist())


@pytest.mark.parametrize(
    "text", ["<b>&\"' </script>", "né\u0301 \U0001f98a\n\t", "", "wolf " * 90], ids=ascii
)
def test_any_sentence_makes_a_map_and_a_page_to_keep(text):
    found = given(text)
    assert len(found["tokens"]) == len(found["stages"][0]["said"])
    json.dumps(dict(found), allow_nan=False)  # as the browser reads it
    alone = "".join(found["page"])
    assert alone.count("</script>") == 1
    brief = text if len(text) <= 80 else text[:80] + "…"
    assert f"<title>A token&#x27;s journey: {html.escape(brief)}</title>" in alone
    links = set(re.findall(r"https?://[\w.]+", alone))
    assert links <= {"http://www.w3.org"}  # the name of SVG, which nothing fetches


def test_a_thinned_column_names_the_number_it_was_taken_from():
    stage = next(one for one in given()["stages"] if one["kind"] == "logits")
    sources = np.frombuffer(base64.b64decode(stage["sources"]), "<u2").reshape(stage["rows"], -1)
    columns = np.arange(stage["columns"]) * stage["bin"] + sources
    logits = passed().seen["logits"][0].numpy()
    values = np.frombuffer(base64.b64decode(stage["values"]), np.float16).reshape(columns.shape)
    np.testing.assert_allclose(values, np.take_along_axis(logits, columns, 1), rtol=1e-3)


@pytest.mark.parametrize("name", ["layers.2.attention.scores", "layers.0.feedforward.gate", "logits"])
def test_the_formulas_sent_are_those_of_the_chosen_number_and_its_neighbors(name):
    one = passed()
    stage, token = one.trace_map.index_of(name), 4
    width = one.trace_map.stages[stage].width
    for column in (0, 9, width - 1):
        found = cached.cells(models.shipped(), SHORT, None, None, "pass", stage, token, column)
        assert (found["id"], found["stage"], found["token"]) == (given()["id"], name, token)
        sent = {numbers[0]: numbers[-1] for numbers in found["numbers"]}
        assert column in sent and len(sent) > cached.NEIGHBORS / 2
        row = matrix_rows(one.seen[name])[token]
        for number, result in sent.items():
            assert result == pytest.approx(float(row[number]), rel=1e-3)


def test_the_last_key_of_the_last_head_has_a_formula_where_only_some_keys_are_drawn():
    text = "wolf " * 60
    one = passed(text)
    name, n_keys = "layers.1.attention.weights", len(one.ids)
    assert one.trace_map.before > 0
    stage, token = one.trace_map.index_of(name), len(one.trace_map.tokens) - 1
    found = cached.cells(models.shipped(), text, None, None, "pass", stage, token, 4 * n_keys - 1)
    assert found["numbers"][-1][0] == 4 * n_keys - 1
    assert found["numbers"][-1][-1] == pytest.approx(float(one.seen[name][0, 3, -1, -1]), rel=1e-3)


def test_a_number_kept_in_the_cache_has_no_formula():
    stage = passed(view="cache").trace_map.index_of("layers.0.attention.v")
    assert cached.cells(models.shipped(), SHORT, None, None, "cache", stage, 0, 3)["numbers"] == []
    last = len(passed(view="cache").trace_map.tokens) - 1
    assert cached.cells(models.shipped(), SHORT, None, None, "cache", stage, last, 3)["numbers"]


def test_with_a_cache_one_column_is_computed_and_two_rows_a_layer_are_kept():
    one = passed(view="cache")
    tokens, layers = len(one.trace_map.tokens), 4
    assert one.trace_map.fresh == 1
    assert one.n_kept == 2 * layers * (tokens - 1)
    assert one.differ < 1e-3
    long = {stage.kind for stage in one.trace_map.stages if stage.n_rows == tokens}
    assert long == {"k_rotated", "v"}


def test_what_a_silent_head_moves_lies_after_it():
    one = passed(what=Ablation(part="head", layer=2, head=1), view="moved")
    names = [stage.name for stage in one.trace_map.stages]
    first = names.index("layers.2.attention.mixed")
    assert not any(stage.values.any() for stage in one.trace_map.stages[:first])
    assert all(stage.values.any() for stage in one.trace_map.stages[first:])


def test_a_swapped_token_moves_nothing_before_it():
    plain = passed()
    one = passed(swap=(3, plain.ids[0]), view="moved")
    for stage in one.trace_map.stages:
        # A score is computed for every pair, later keys among them; the mask comes after it.
        if stage.kind != "scores":
            assert not stage.values[:3].any(), stage.name
    assert one.trace_map.stages[0].values[3].any()


def test_every_kind_of_stage_has_its_words_and_its_line_of_code():
    assert set(journey.panel.KINDS) == set(_FORMS)
    for ffn in ("swiglu", "geglu", "gelu"):
        known = journey.panel.panel_words(ffn, SHORT)
        for kind in _FORMS:
            assert known["titles"][kind] and known["formulas"][kind] and known["abouts"][kind]
            code = known["codes"][kind]
            source = (ROOT / code["file"]).read_text(encoding="utf-8").splitlines()
            assert source[code["line"] - 1].strip() == code["lines"][code["hot"]].strip()


def opened(**parameters: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "journey.py"), default_timeout=120)
    for name, value in parameters.items():
        app.query_params[name] = value
    return app.run()


def test_the_page_tells_what_a_change_does_and_what_the_cache_spares():
    app = opened(j_text=SHORT)
    assert not app.exception
    app.segmented_control(key="j_what").set_value("layer").run()
    assert any("strips on the map change" in one.value for one in app.markdown)
    app.segmented_control(key="j_view").set_value("cache").run()
    assert any("Only its own column was computed" in one.value for one in app.markdown)
    assert not app.exception


def test_a_link_to_a_stage_that_does_not_exist_is_told():
    app = opened(j_text=SHORT, j_stage="layers.9.attention.weights")
    assert not app.exception
    assert any("j_stage" in one.value for one in app.warning)


def test_a_position_in_a_longer_sentence_is_let_go_without_a_word():
    app = opened(j_text=SHORT, j_token="8", j_stage="layers.3.attention.masked_scores")
    assert app.query_params["j_token"] == "8" and not app.warning
    app.text_input(key="j_text").set_value("Tom and").run()
    app.segmented_control(key="j_view").set_value("cache").run()  # one token needs no mask
    assert not app.exception and not app.warning


def test_a_sentence_longer_than_the_context_is_refused_in_a_sentence():
    app = opened()
    app.text_input(key="j_text").set_value("river " * 290).run()
    assert not app.exception
    assert any("context_length" in one.value for one in app.error)


def test_the_map_says_every_word_it_has_and_has_every_word_it_says():
    said = set(re.findall(r"\bsay\.(\w+)", trace_map.JS))
    assert said == set(journey.panel.panel_texts())


def test_a_link_to_a_number_is_kept_and_one_to_a_head_that_does_not_exist_is_told():
    scores = {"j_text": SHORT, "j_stage": "layers.1.attention.scores"}
    app = opened(**scores, j_token="5", j_cell_head="3", j_cell="2", j_zoom="block")
    assert not app.exception and not app.warning
    assert app.query_params["j_cell"] == "2" and app.query_params["j_zoom"] == "block"
    app = opened(**scores, j_cell_head="5")
    assert any("j_cell_head" in one.value for one in app.warning)


def test_a_word_chosen_for_one_sentence_is_forgotten_with_it_and_no_link_is_blamed():
    app = opened(j_text=SHORT)
    word = app.selectbox(key="j_word")
    chosen = word.set_value(word.options[-1]).run().selectbox(key="j_word").value
    app.text_input(key="j_text").set_value("Once upon a time there was a young queen. She").run()
    word = app.selectbox(key="j_word")
    assert chosen not in word.options and word.value == word.options[0]
    assert not [warning.value for warning in app.warning if "The link asks" in warning.value]
    assert f"the logit of **{word.value}**" in "\n".join(piece.value for piece in app.markdown)
