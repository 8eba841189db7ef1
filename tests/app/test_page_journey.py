"""The journey: what the map shows are the numbers of the pass, and whatever a sentence holds, it can be drawn."""

import base64
import html
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.labs import journey
from gptcore.interpret.ablation import Ablation
from gptcore.interpret.stages import _FORMS
from pages.kit import models, trace_map
from pages.labs.journey import cached

ROOT = Path(__file__).resolve().parents[2]
SHORT = "Tom and Mira went to the river."
SVG = "{http://www.w3.org/2000/svg}"


def passed(text: str = SHORT, what=None, swap=None, view: str = "pass") -> cached.Journey:
    return cached.journey(models.shipped(), text, what, swap, view)


def given(text: str = SHORT, view: str = "pass"):
    words = journey.panel.panel_words("swiglu")
    return cached.journey_widget_data(models.shipped(), text, None, None, view, _known=words)


def test_the_numbers_of_the_map_are_those_of_the_trace():
    one = passed()
    for stage in one.trace_map.stages:
        values = stage.values.numpy()
        tensor = one.seen[stage.name][0]
        rows = tensor if tensor.dim() == 2 else tensor.transpose(0, 1).flatten(1)
        if stage.bin == 1:
            np.testing.assert_allclose(values, rows.numpy(), rtol=1e-3, atol=1e-6)
    said = one.trace_map.stages[-1].said
    assert [row[0][2] for row in said] == pytest.approx(one.seen["probabilities"][0].amax(-1).tolist())


def test_a_strip_is_a_picture_of_its_numbers():
    pixels = [[trace_map.pixel_color(value) for value in (-1.0, 0.0, 0.25, 1.0)]]
    image = Image.open(io.BytesIO(base64.b64decode(trace_map.png(pixels).split(",")[1])))
    assert [image.getpixel((x, 0)) for x in range(4)] == pixels[0]
    assert pixels[0][0][:3] != pixels[0][3][:3]
    assert pixels[0][1][3] == 0 < pixels[0][2][3] < pixels[0][3][3] == 255


@pytest.mark.parametrize(
    "text", ["<b>&\"' </script>", "né\u0301 \U0001f98a\n\t", "", "wolf " * 90], ids=ascii
)
def test_any_sentence_makes_a_map_that_can_be_read_back(text):
    found = given(text)
    root = ElementTree.fromstring(found["svg"])
    names = [one.text for one in root.iter(f"{SVG}text") if "name" in one.get("class")]
    assert names == [found["titles"][stage["kind"]] for stage in found["stages"]]
    alone = trace_map.html_page({**found, "at": {"stage": "logits", "token": 0, "other": None}}, text)
    assert alone.count("</script>") == 1
    body = re.search(r"traceMap\(\{ data: (.*), parentElement", alone)[1]
    assert json.loads(body)["tokens"] == found["tokens"]
    assert f"<title>{html.escape(text)}</title>" in alone
    bare = re.sub(r"data:image/png;base64,[\w+/=]+|\"values\": \"[^\"]*\"", "", alone)
    links = set(re.findall(r"https?://[\w.]+", bare))
    assert links <= {"http://www.w3.org"}  # the name of SVG, which nothing fetches


def test_a_picture_of_the_map_marks_what_is_on_view():
    one, words = passed().trace_map, journey.panel.panel_words("swiglu")
    root = ElementTree.fromstring(trace_map.static_svg(one, words["titles"], words["say"], 5, 2, 4))
    classes = [element.get("class") for element in root.iter()]
    assert classes.count("curves on") == 1
    assert {"mark-column", "mark-column other", "mark-row", "mark-cell"} <= set(classes)


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
    assert not any(any(row) for stage in one.trace_map.stages[:first] for row in stage.strip)
    assert all(any(map(any, stage.strip)) for stage in one.trace_map.stages[first:])


def test_a_swapped_token_moves_nothing_before_it():
    plain = passed()
    one = passed(swap=(3, plain.ids[0]), view="moved")
    for stage in one.trace_map.stages:
        # A score is computed for every pair, later keys among them; the mask comes after it.
        if stage.kind != "scores":
            assert not any(any(row) for row in stage.strip[:3]), stage.name
    assert any(one.trace_map.stages[0].strip[3])


def test_every_kind_of_stage_has_its_words_and_its_line_of_code():
    assert set(journey.panel.KINDS) == set(_FORMS)
    for ffn in ("swiglu", "gelu"):
        known = journey.panel.panel_words(ffn)
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
    assert any("cells of the map move" in one.value for one in app.markdown)
    app.segmented_control(key="j_view").set_value("cache").run()
    assert any("Only its own column was computed" in one.value for one in app.markdown)
    assert not app.exception


def test_a_link_to_a_stage_that_does_not_exist_is_told():
    app = opened(j_text=SHORT, j_stage="layers.9.attention.weights")
    assert not app.exception
    assert any("j_stage" in one.value for one in app.warning)


def test_a_place_of_a_longer_sentence_is_let_go_without_a_word():
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
    python = Path(trace_map.__file__).read_text(encoding="utf-8")
    said = set(re.findall(r"\bsay\.(\w+)", trace_map.JS)) | set(
        re.findall(r'words\["(\w+)"\]', python.replace("'", '"'))
    )
    assert said == set(journey.panel.panel_texts())
