"""The arena's page: what it shows before anything is trained, how its runs are asked for, what they come to."""

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gptcore.account import n_parameters
from gptcore.config import PRESETS
from gptcore.experiments import arena, arena_records, played_matches
from gptcore.files import write_json
from gptcore.runs import queue
from gptcore.runs import run as runs
from pages.kit import controls, curves, session, visitor
from pages.kit.history import History
from tests.app.test_page_runs import write_run

ROOT = Path(__file__).resolve().parents[2]
PICO = {"arena_size": "pico", "arena_steps": "100", "arena_seeds": "2"}


def pico(**changes) -> arena.Match:
    """The match that the link PICO asks for."""
    shape = controls.SIZES["pico"] | {"n_kv_heads": controls.SIZES["pico"]["n_heads"]}
    base = PRESETS["nano"].model.replace(context_length=arena.CONTEXT, **shape)
    a, b = (arena.style(name, base) for name in arena.STYLES)
    return arena.Match(
        a=a, b=b, train=arena.train_config(steps=100), rates=(0.002, 0.005, 0.0125), seeds=(0, 1)
    )


@pytest.fixture
def nobody_trains(monkeypatch):
    """Requests stay in the queue."""
    monkeypatch.setattr(session, "poll_queue", lambda: None)


def opened(**parameters: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in parameters.items():
        app.query_params[name] = value
    app.switch_page("pages/arena.py").run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    kinds = ("markdown", "info", "success", "error", "caption")
    return "\n".join(one.value for kind in kinds for one in app.get(kind))


def finish(match: arena.Match, loss) -> None:
    """Write every run of a match as if it had been trained: `loss(arm, rate, seed)` is its last."""
    for one in arena.plan(match):
        run = queue.submit(one.request, owner=visitor.HOME, lab=True)
        write_json(runs.request_file(run.folder), run.request() | {"waiting": False})
        write_run(run.folder, steps=100)
        log = run.folder / "events.jsonl"
        events = [json.loads(line) for line in log.read_text().splitlines()]
        for event in events:
            if event["event"] == "eval":
                event["val_loss"] += loss(one.arm, one.rate, one.seed) - 2
        log.write_text("".join(json.dumps(event) + "\n" for event in events))


def test_cold_it_shows_the_pair_made_equal_and_the_price():
    app = opened(**PICO)
    facts = {row[""]: row for row in app.dataframe[0].value.to_dict("records")}
    a, b = (value for name, value in facts["parameters"].items() if name)
    even = arena.equalize(pico())
    assert a == f"{n_parameters(even.a.model):,}" and b == f"{even.b.n_parameters:,}"
    assert "Made equal in parameters" in said(app) and "is 12 runs: 2 arms × 3 rates × 2 seeds" in said(app)
    assert '+    norm="layernorm",' in app.code[0].value
    app.segmented_control(key="arena_equal").set_value("flops").run()
    assert "Made equal in FLOPs" in said(app)
    app.segmented_control(key="arena_equal").set_value("seconds").run()
    assert "nothing is adjusted" in said(app)


def test_what_cannot_meet_is_said_in_a_sentence_and_taken_back():
    app = opened(**PICO, arena_a_n_heads="3")
    assert (
        app.error[0].value
        == "These settings don't work: d_model=32 must be divisible by n_heads=3; try 30 or 33."
    )
    app.button(key="arena_repair").click().run()
    assert not app.error and "Made equal" in said(app)
    app.selectbox(key="arena_b_n_layers").set_value("8").run()
    assert "no d_ff gives arm b" in app.error[0].value


def test_equal_requests_are_one_run_and_a_reload_finds_them(nobody_trains):
    app = opened(**PICO)
    app.button(key="arena_start").click().run()
    asked = runs.list_runs()
    assert len(asked) == 12 and all(run.request()["lab"] for run in asked)
    assert "run" not in app.query_params
    again = opened(**PICO)
    assert "0 of 12 runs are done" in again.get("progress")[0].proto.text
    assert again.button(key="arena_start").disabled
    again.button(key="arena_stop").click().run()
    assert runs.list_runs() == [] and not again.button(key="arena_start").disabled


def test_what_the_queue_does_not_take_is_asked_for_later(nobody_trains, monkeypatch):
    monkeypatch.setenv("GLASSBOX_QUEUE_PER_VISITOR", "3")
    app = opened(**PICO)
    app.button(key="arena_start").click().run()
    first = len(runs.list_runs())
    assert 3 <= first < 12 and not app.error
    for run in runs.list_runs():
        write_json(runs.request_file(run.folder), run.request() | {"waiting": False})
        write_run(run.folder, steps=100)
    app.run()
    assert len(runs.list_runs()) > first


def test_a_finished_match_is_found_and_judged():
    match = pico()
    best = {"a": 0.005, "b": 0.0125}
    finish(match, lambda arm, rate, seed: 2 + 0.01 * seed + 0.5 * (arm == "b") + (rate != best[arm]))
    app = opened(**PICO)
    assert "**Clear.** A: LLaMA-style ends 0.500" in said(app) and "are not trained yet" not in said(app)
    table = next(one.value for one in app.dataframe if "learning rate" in one.value.columns)
    assert table["learning rate"].tolist() == ["0.002", "0.005", "0.0125"]
    assert table["A: LLaMA-style"].tolist() == ["3.005", "2.005", "3.005"]
    assert "at its best at the highest learning rate tried, 0.0125" in said(app)
    assert [one.value.startswith("A fox at") for one in app.text] == [True, True]
    app.segmented_control(key="arena_against").set_value("seconds").run()
    assert not app.exception


def test_a_match_is_kept_when_its_runs_are_gone():
    match = pico()
    finish(match, lambda arm, rate, seed: 2 + 0.1 * seed)
    assert "**Within the noise.**" in said(opened(**PICO))
    for run in runs.list_runs():
        runs.delete(run)
    app = opened(**PICO)
    assert "**Within the noise.**" in said(app) and "Its runs have been removed since" in said(app)
    held = next(one.value for one in app.dataframe if "Verdict" in one.value.columns)
    assert held["Machine"].tolist().count("this machine") == len(arena_records.all_records()) == 1


def test_it_opens_with_the_match_that_comes_with_glassbox(tmp_path, monkeypatch):
    match, folder = pico(), tmp_path / "played"
    finish(match, lambda arm, rate, seed: 2 + 0.01 * seed + 0.5 * (arm == "b") + (rate != 0.005))
    for planned, run in zip(arena.plan(match), session.find_runs(one.request for one in arena.plan(match))):
        shutil.copytree(run.folder, tmp_path / planned.name)
        runs.delete(run)
    names = ("A: LLaMA-style", "B: GPT-2-style")
    played_matches.write_match(match, names, tmp_path, folder)
    monkeypatch.setattr(played_matches, "SHIPPED", folder)
    app = opened(**PICO)
    played = played_matches.find_played(match)
    assert "seconds" not in json.dumps(list(played.events.values())).replace('"seconds": null', "")
    assert f"it was played on {played.machine} with {played.cores} cores" in said(app)
    assert "**Clear.** A: LLaMA-style ends 0.500" in said(app)
    assert app.button(key="arena_start").label == "Train the 12 runs here"
    assert app.segmented_control(key="arena_against").options == ["steps", "tokens"]
    assert [one.value.startswith("A fox at") for one in app.text] == [True, True]
    held = next(one.value for one in app.dataframe if "Verdict" in one.value.columns)
    assert held["Machine"].tolist() == [played.machine]
    assert arena_records.all_records() == []  # it is not taken for a match held here


def test_the_bare_address_opens_with_a_match_that_was_played():
    app = opened()
    (played,) = played_matches.all_played()
    assert f"it was played on {played.machine}" in said(app) and "No verdict yet" not in said(app)
    assert app.button(key="arena_start").label.endswith("here")


def test_bands_are_the_range_of_the_seeds():
    def told(last: float) -> History:
        history = History(start={"total_steps": 4})
        history.steps, history.tokens_seen, history.seconds = (
            [1, 2, 3, 4],
            [10, 20, 30, 40],
            [0.1, 0.2, 0.3, 0.4],
        )
        history.eval_steps, history.val_loss = [0, 2, 4], [7.0, 3.0, last]
        return history

    picture = curves.confidence_bands({"one": [told(1.0), told(2.0)], "two": [told(1.2)]}, against="tokens")
    area, mean = picture.figure.data[:2]
    assert list(mean.x) == [20, 40] and list(mean.y) == [3.0, 1.5]
    assert list(area.y) == [3.0, 2.0, 1.0, 3.0]
    assert "one from 1.000 to 2.000" in picture.alt
