"""Damaged runs on the pages: the list, the page of a run, a chapter that draws it; each can be deleted there."""

import json
import re
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gptcore.files import write_json
from gptcore.runs.archive import import_work
from gptcore.runs.run import Run, list_runs, request_file
from pages.kit import session
from tests.security.hostile import WEIGHTS, member, with_json, work_files, zipped

ROOT = Path(__file__).resolve().parents[2]
AT = '"step":5,"tokens":160,"seconds":0.5'
LINES = {
    "done": '{"event":"done","step":5}',
    "reason": f'{{"event":"done",{AT},"reason":["steps"]}}',
    "text": f'{{"event":"step",{AT},"loss":"low","lr":0.1,"grad_norm":1,"tokens_per_second":9}}',
    "text_step": '{"event":"step","step":"five","tokens":160,"seconds":0.5,"loss":1}',
    "huge": '{"event":"eval","step":1' + "0" * 400 + ',"tokens":1,"seconds":1,"val_loss":1e999}',
    "negative": '{"event":"eval","step":-5,"tokens":-1,"seconds":-1,"val_loss":1}',
    "no_loss": f'{{"event":"eval",{AT}}}',
    "nan": f'{{"event":"eval",{AT},"val_loss":NaN,"perplexity":Infinity,"bits_per_byte":null}}',
    "no_text": f'{{"event":"sample",{AT},"ladder":"high"}}',
    "ladder": f'{{"event":"sample",{AT},"text":"x","prompt":"","ladder":{{"rate":"all"}}}}',
    "failed": f'{{"event":"failed",{AT}}}',
    "start": '{"event":"start","step":0,"tokens":0,"seconds":0,"config":[],"total_steps":0}',
    "checkpoint": f'{{"event":"checkpoint",{AT},"path":{{"a":["/etc/passwd"]}}}}',
    "deep": '{"event":' + "[" * 100_000,
    "bytes": "\x00\x01 no JSON \x7f",
    "empty": "",
}
CONFIGS = {
    "list": b"[]",
    "half": b'{"format":"glassbox-run-1","model":{"d_mo',
    "no_model": b'{"format":"glassbox-run-1","notes":7,"corpus_name":[1]}',
    "model_text": b'{"format":"glassbox-run-1","model":"large","train":"long"}',
    "sizes": b'{"format":"glassbox-run-1","model":{"d_model":"wide","n_layers":null}}',
}
REQUESTS = {
    "request_list": [],
    "request_owners": {"owners": "a"},
    "request_waiting": {"owners": ["a"], "waiting": "yes", "turn": "first", "sequence": None},
    "request_launched": {"owners": ["a"], "launched": {"pid": "one", "supervisor": 7}},
    "request_plugin": {
        "owners": ["a"],
        "waiting": True,
        "request": {"kind": "train", "plugin": "/etc/passwd"},
    },
}
DAMAGE = (*LINES, *CONFIGS, *REQUESTS, "state", "weights", "tokenizer")
IN_CHAPTER = ("done", "text_step", "ladder", "sizes")  # a chapter takes seconds; all of them in the long run
MARKUP = "**b** [here](javascript:alert(1)) ![i](http://evil.example/x.png) :material/home: <img src=x>"


@pytest.fixture(scope="module")
def damaged(paused_run, tmp_path_factory):
    """A runs folder with one run for each damage, and a whole one; put there as a failing disk would."""
    folder = tmp_path_factory.mktemp("damaged") / "runs"
    for name in (*DAMAGE, "whole"):
        place = folder / name
        shutil.copytree(paused_run.folder, place, ignore=shutil.ignore_patterns("history", "lock"))
        if name in LINES:
            with (place / "events.jsonl").open("a") as log:
                log.write(LINES[name] + "\n")
        if name in CONFIGS:
            (place / "config.json").write_bytes(CONFIGS[name])
        if name in REQUESTS:
            write_json(request_file(place), REQUESTS[name])
    (folder / "state" / "latest" / "state.json").write_text('{"step": "five"}')
    weights = folder / "weights" / "latest" / "model.safetensors"
    weights.write_bytes(WEIGHTS["shape"](weights.read_bytes()))
    (folder / "tokenizer" / "latest" / "tokenizer.json").write_text('{"merges": 7}')
    return folder


@pytest.fixture(autouse=True)
def on_pages(monkeypatch):
    monkeypatch.setattr(session, "start_workers", lambda: None)  # it takes seconds to make ready
    monkeypatch.chdir(ROOT)


def opened(page: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300)
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception, [error.value for error in app.exception]
    return app


def test_a_damaged_run_is_listed_shown_and_deleted(damaged, monkeypatch, tmp_path):
    folder = tmp_path / "runs"
    shutil.copytree(damaged, folder)
    monkeypatch.setenv("GLASSBOX_RUNS", str(folder))
    app = opened("runs")
    before = {run.id for run in list_runs()}
    assert "whole" in before and len(before) >= len(DAMAGE)
    for run_id in sorted(before - {"whole"}):
        app.query_params["run"] = run_id
        app.run()
        assert not app.exception, (run_id, [error.value for error in app.exception])
        if Run(folder / run_id).state() != "waiting":
            app.button(key="runs_delete").click().run()
            assert not app.exception and not Run(folder / run_id).folder.exists(), run_id
    assert "whole" in {run.id for run in list_runs()}


@pytest.mark.parametrize("run_id", IN_CHAPTER)
def test_a_chapter_draws_what_is_whole_of_a_damaged_run(damaged, monkeypatch, run_id):
    monkeypatch.setenv("GLASSBOX_RUNS", str(damaged))
    opened("08_training", run=run_id)


@pytest.mark.long
@pytest.mark.parametrize("page", ["08_training", "05_attention", "journey", "arena", "09_inference"])
@pytest.mark.parametrize("run_id", DAMAGE)
def test_every_page_with_a_damaged_run(damaged, monkeypatch, page, run_id):
    monkeypatch.setenv("GLASSBOX_RUNS", str(damaged))
    opened(page, run=run_id, model=run_id)


def test_names_and_notes_from_a_zip_are_shown_as_text(paused_run, runs_folder):
    files = work_files(paused_run)
    config = member(files, "config.json")
    files = with_json(files, config, lambda found: found.update(notes=[MARKUP], corpus_name=MARKUP))
    files = with_json(files, "work.json", lambda work: work["names"].update(paused=MARKUP))
    (run,), _ = import_work(zipped(files), owner="home")
    app = opened("runs", run=run.id)
    shown = [*app.caption, *app.markdown, *app.info, *app.error, *app.success]
    texts = [element.value for element in shown if "evil" in element.value]
    assert texts
    for text in texts:
        unescaped = re.sub(r"\\.", "", text)
        assert not re.search(r"\[|\*\*|<|:material/home:", unescaped), text
    assert json.loads((run.folder / "config.json").read_text())["notes"] == [MARKUP]
