"""Chapter 10: the script on the page is the one that is downloaded, its numbers are the library's."""

import re
import shlex

from streamlit.testing.v1 import AppTest

from pages.kit import models
from pages.labs.script import cached, tuning
from tests.app.reading import opened_once, opener, said

open_page = opener("10_script.py")


page = opened_once(open_page, c10_more_scale="true")


def shown_code(app: AppTest, beginning: str) -> str:
    return next(piece.value for piece in app.code if piece.value.startswith(beginning))


def test_another_program_with_our_weights_agrees(page):
    largest = float(re.search(r"largest difference is \*\*([\d.e-]+)\*\*", said(page))[1])
    assert 0 < largest < 1e-3


def test_numbers_of_the_run_are_those_of_plain_arithmetic(page):
    text = "\n".join(piece.value for piece in page.latex)
    assert f"8 \\cdot 256 \\cdot 400 = {8 * 256 * 400:,}".replace(",", "{,}") in text
    v, c, f, layers = 2048, 128, 384, 4
    by_muon = layers * (4 * c * c + 3 * c * f)
    weights = v * c + by_muon + layers * 2 * c + c
    assert f"**{weights:,}** parameters" in said(page)
    assert f"**{(12 * by_muon + 16 * (weights - by_muon)) / 1e6:.1f} MB**" in said(page)


def test_command_and_script_follow_the_controls_and_agree():
    app = open_page(c10_steps="100", c10_rate="0.003", c10_size="micro", c10_d_model="64", c10_n_heads="4")
    from gptcore.config import PRESETS
    from gptcore.runs.request import RunRequest

    words = shlex.split(shown_code(app, "python -m gptcore train"))[3:]
    request = RunRequest.from_arguments(words[1:-2])
    place: dict = {}
    script = shown_code(app, '"""A language model from scratch')
    head = script.partition("# 2 ·")[0]
    exec(head, place)
    settings = dict(request.settings)
    rate = settings.pop("learning_rate")
    assert PRESETS["nano"].model.replace(**settings) == place["MODEL"]
    assert place["TRAIN"].learning_rate == rate == 0.003
    assert place["STEPS"] == request.steps == 100


def test_the_same_weights_with_other_heads_cost_nats():
    app = open_page(c10_misread_as="8 heads of 16")
    loss, right = map(
        float,
        re.search(r"\*\*([\d.]+)\*\* nats per token. The right config gives ([\d.]+)", said(app)).groups(),
    )
    assert loss > right + 1
    app = open_page(c10_misread_as="as it was trained")
    loss, right = map(
        float,
        re.search(r"\*\*([\d.]+)\*\* nats per token. The right config gives ([\d.]+)", said(app)).groups(),
    )
    assert loss == right


def test_the_default_seed_shows_where_two_texts_part(page):
    assert re.search(r"They differ from token \*\*\d+\*\*", said(page))


def test_the_model_in_use_goes_along_in_three_ways(tmp_path):
    import io
    import zipfile

    from gptcore import load

    app = open_page(c10_more_take="true", hide="analogy,example,code,diagram,measured,check,deeper")
    names = {one.proto.label for one in app.get("download_button")}
    assert {"As a script", "As a notebook", "As a Hugging Face folder"} <= names
    assert "You haven't trained anything here yet" in said(app)
    with zipfile.ZipFile(io.BytesIO(models.as_llama(models.shipped()))) as archive:
        archive.extractall(tmp_path)
    assert "1,115,264 parameters" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    ours, theirs = (load(path)[0] for path in (models.shipped_path(), tmp_path / "model"))
    assert all((a == b).all() for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_parts_stand_in_the_order_of_every_chapter(page):
    from pages.kit.book import PARTS

    assert [one.value for one in page.header] == list(PARTS.values())


def test_a_little_tuning_is_watched_to_its_end(monkeypatch):
    monkeypatch.setattr(tuning, "TUNING_STEPS", 2)
    app = open_page()
    app.button(key="c10_tune_start").click().run()
    assert cached.tuning(2).result()["n_answers"] == 32
    app.run()
    assert not app.exception and not app.error
    assert "**Story about" in said(app)
