"""The buttons that start runs: what they keep of them, and what they say when one cannot start, or not at once."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gptcore.account import step_bytes
from gptcore.config import PRESETS
from gptcore.runs import free_memory, queue
from gptcore.runs.request import RunRequest
from gptcore.runs.run import FORMAT, Run
from pages.kit import lab_runs, session

ROOT = Path(__file__).resolve().parents[2]
NANO = PRESETS["nano"]
STARTS = {  # the buttons of each page, those aside that wait for another run
    "home": (),  # its button is drawn before anything is known
    "00_overview": ("c0_train",),
    "03_embeddings": ("c3_unused_train",),
    "04_positions": ("c4_order_train",),
    "05_attention": ("c5_mask_train",),
    "06_block": ("c6_trained_start",),
    "07_model": ("c7_scale_train",),
    "08_training": ("c8_start", "c8_fault_start", "c8_case_start"),
    "arena": ("arena_start",),
}


def two_runs() -> None:
    from gptcore.runs.request import RunRequest
    from pages.kit import lab_runs

    requests = {"first": RunRequest(steps=1), "second": RunRequest(steps=2)}
    found = lab_runs.start_button("lab", "Train", lambda: requests, key="lab_train", store="lab_runs")
    lab_runs.show_problem("lab", found)


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_function(two_runs, default_timeout=60).run()


def test_the_runs_are_kept_by_name(app, own_runs, monkeypatch):
    def start(request, *, lab):
        folder = own_runs / {1: "a" * 20, 2: "b" * 20}[request.steps]
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"format": FORMAT}))
        return Run(folder)

    monkeypatch.setattr(session, "start_run", start)
    app.button(key="lab_train").click().run()
    assert not app.error and set(app.session_state["lab_runs"]) == {"first", "second"}


def test_the_runs_before_a_refused_one_are_kept_and_the_reason_is_shown(app, own_runs, monkeypatch):
    def start(request, *, lab):
        if request.steps == 2:
            raise ValueError("the queue is full")
        return Run(own_runs / "0123456789abcdef0123")

    monkeypatch.setattr(session, "start_run", start)
    app.button(key="lab_train").click().run()
    assert [error.value for error in app.error] == ["the queue is full"]
    assert app.session_state["lab_runs"] == {"first": "0123456789abcdef0123"}


@pytest.mark.parametrize("page", STARTS)
def test_every_page_says_before_the_start_that_a_run_lacks_memory_or_waits(page, own_runs, monkeypatch):
    monkeypatch.setenv("GLASSBOX_HOSTED", "1")  # where the run of somebody else is not on view
    monkeypatch.setenv("GLASSBOX_RUNS_AT_ONCE", "1")
    monkeypatch.setattr(free_memory, "unused_memory", lambda: 100_000_000)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.switch_page(f"pages/{page}.py").run()
    n_notes = max(1, len(STARTS[page]))
    assert not app.exception
    assert sum("and 100 MB are free" in warning.value for warning in app.warning) == n_notes
    assert all(app.button(key=key).disabled for key in STARTS[page])

    queue.submit(RunRequest(seconds=40), owner="b")
    app.run()
    said = "A run that you start now waits at position 2 in the queue, about 40 s."
    assert sum(said in caption.value for caption in app.caption) == n_notes
    assert not app.warning and not any(app.button(key=key).disabled for key in STARTS[page])
    assert not app.exception


def test_a_hosted_run_trains_on_as_many_tokens_in_smaller_parts(monkeypatch):
    own = NANO.train.replace(**lab_runs.page_settings())
    monkeypatch.setenv("GLASSBOX_HOSTED", "1")
    hosted = NANO.train.replace(**lab_runs.page_settings())
    assert hosted.batch_size * hosted.accumulation == own.batch_size * own.accumulation
    bytes_of = [step_bytes(NANO.model, train, train.batch_size, 256) for train in (hosted, own)]
    assert bytes_of[0] < 0.7 * bytes_of[1]
