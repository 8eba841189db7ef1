"""The button that starts a lab's runs: what it keeps of them, and what it says when one cannot start."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from gptcore.runs.run import FORMAT, Run
from pages.kit import session


def two_runs() -> None:
    from pages.kit import lab_runs

    lab_runs.start_button(
        "lab", "Train", lambda: {"first": "first", "second": "second"}, key="lab_train", store="lab_runs"
    )
    lab_runs.show_problem("lab")


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_function(two_runs, default_timeout=60).run()


def test_the_runs_are_kept_by_name(app, own_runs, monkeypatch):
    def start(request, *, lab):
        folder = own_runs / {"first": "a" * 20, "second": "b" * 20}[request]
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"format": FORMAT}))
        return Run(folder)

    monkeypatch.setattr(session, "start_run", start)
    app.button(key="lab_train").click().run()
    assert not app.error and set(app.session_state["lab_runs"]) == {"first", "second"}


def test_the_runs_before_a_refused_one_are_kept_and_the_reason_is_shown(app, own_runs, monkeypatch):
    def start(request, *, lab):
        if request == "second":
            raise ValueError("the queue is full")
        return Run(own_runs / "0123456789abcdef0123")

    monkeypatch.setattr(session, "start_run", start)
    app.button(key="lab_train").click().run()
    assert [error.value for error in app.error] == ["the queue is full"]
    assert app.session_state["lab_runs"] == {"first": "0123456789abcdef0123"}
