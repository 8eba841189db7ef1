"""The page of the host: it is there with a secret only, and its buttons do what they say."""

import io
import socket
import time
import zipfile
from pathlib import Path

import pytest
import run_logs
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from gptcore.files import write_json
from gptcore.runs import ray_jobs
from gptcore.runs.limits import Limits
from gptcore.runs.queue import submit
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run, RunError, request_file
from gptcore.runs.worker_pool import WorkerPool
from pages.kit import book, escape, host_access
from pages.kit.host_access import Attempts
from pages.labs.host import backup, manage_runs
from tests.app.test_page_runs import write_run

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a secret of the host"
SECONDS = 120  # for something that takes a few, on a machine that is busy


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    """A server with a secret, on which nobody has tried it yet, and no delay after a wrong answer."""
    monkeypatch.setenv(host_access.VARIABLE, SECRET)
    monkeypatch.setattr(host_access, "DELAY_SECONDS", 0.0)
    monkeypatch.setattr(host_access, "_overall", Attempts(host_access.MOST_OVERALL))


def open_page() -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.switch_page("pages/host.py").run()
    assert not app.exception
    return app


def give(app: AppTest, secret: str) -> AppTest:
    app.text_input(key="host_secret").set_value(secret)
    app.button(key="host_enter").click().run()
    assert not app.exception
    return app


def admitted() -> AppTest:
    return give(open_page(), SECRET)


def test_the_page_asks_for_the_secret_and_shows_nothing_before():
    app = open_page()
    assert [title.value for title in app.title] == [book.HOST.title]
    assert not app.metric and not app.dataframe
    assert give(app, "not the secret at all").error[0].value.startswith("This is not the secret")
    assert not app.metric and SECRET not in str(app.main)
    give(app, SECRET)
    assert [metric.label for metric in app.metric] == [
        *("Visitors connected", "Runs training", "Runs waiting", "Server memory", "Runs folder")
    ]
    app.button(key="host_leave").click().run()
    assert not app.metric and app.text_input(key="host_secret").value == ""


def test_without_a_secret_no_page_is_registered(monkeypatch):
    monkeypatch.delenv(host_access.VARIABLE)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.switch_page("pages/host.py").run()
    assert [title.value for title in app.title] == [book.TABLE[0].title]
    assert not any(field.key == "host_secret" for field in app.text_input)


def test_a_short_secret_opens_nothing(monkeypatch):
    monkeypatch.setenv(host_access.VARIABLE, "short")
    app = give(open_page(), "short")
    assert "fewer than 12 characters" in app.error[0].value and not app.metric


def test_a_changed_secret_closes_the_page(monkeypatch):
    app = admitted()
    monkeypatch.setenv(host_access.VARIABLE, "another secret of the host")
    assert not app.run().metric


def test_attempts_are_limited_in_a_session_and_overall():
    app = open_page()
    for _ in range(host_access.MOST_IN_SESSION):
        assert "This is not the secret" in give(app, "wrong").error[0].value
    assert "Wait a minute" in give(app, SECRET).error[0].value and not app.metric
    assert admitted().metric  # another session has attempts of its own
    while host_access._overall.take():
        pass
    assert "Wait a minute" in admitted().error[0].value


def test_attempts_come_back_after_the_window():
    now = [0.0]
    attempts = Attempts(2, clock=lambda: now[0])
    taken = []
    for moment in (0.0, 10.0, 20.0, 60.0, 61.0, 70.0):
        now[0] = moment
        taken.append(attempts.take())
    assert taken == [True, True, False, True, False, True]


def test_a_run_of_anybody_is_deleted_once_it_is_confirmed(own_runs):
    write_run(own_runs / "theirs", owner="b" * 32)
    app = admitted()
    assert "owner bbbbbbbb" in app.selectbox(key="host_run").options[0]
    app.button(key="host_delete_theirs").click().run()
    assert app.success[0].value == "Deleted: theirs." and not (own_runs / "theirs").exists()


def test_jobs_are_listed_and_a_run_that_waits_is_withdrawn_for_all_its_owners(own_runs):
    one = Limits.from_environment({"GLASSBOX_RUNS_AT_ONCE": "1"})
    for owner in ("a" * 32, "b" * 32):
        run = submit(RunRequest(seconds=40), owner=owner, limits=one)
    app = admitted()
    row = app.dataframe[0].value.iloc[0]
    assert (row["State"], row["Owner"]) == ("waiting, position 1", "aaaaaaaa +1")
    app.button(key="host_stop").click().run()
    assert app.success[0].value == f"Removed from the queue: {run.id}."
    assert not request_file(run.folder).exists()


def test_a_cluster_that_does_not_answer_is_told_while_runs_wait_for_it(own_runs, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv(ray_jobs.ADDRESS, f"http://127.0.0.1:{port}")
    submit(RunRequest(seconds=40))
    pool = WorkerPool()
    pool.poll(own_runs)
    try:
        deadline = time.monotonic() + SECONDS
        while (problem := ray_jobs.problem(own_runs)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert admitted().warning[0].value == escape.sentence(problem)
    finally:
        pool.close()


def test_a_run_that_trains_is_stopped_and_only_then_deleted(own_runs):
    run = write_run(own_runs / "theirs")
    assert "neither training nor waiting" in manage_runs.stop(run)
    run_logs.write(run.folder, [run_logs.start(30), run_logs.trained(3, 6.5)])
    with FileLock(run.folder / "lock"):
        app = admitted()
        app.button(key="host_delete_theirs").click().run()
        assert app.error[0].value == "theirs is being trained; stop it first"
        app.button(key="host_stop").click().run()
        assert app.success[0].value == "Stop requested: theirs." and not app.error
        assert run.requested_action() == "stop"


def test_the_folder_is_downloaded_as_it_is(own_runs, monkeypatch):
    write_run(own_runs / "mine")
    write_json(request_file(own_runs / "mine"), {"owners": ["a"]})
    app = admitted()
    assert [button.label for button in app.get("download_button")] == ["Download the backup (0 MB)"]
    ticket = app.session_state["host_ticket"]
    with zipfile.ZipFile(io.BytesIO(backup._packed(["mine", "mine.request.json"], ticket))) as archive:
        assert {"mine/config.json", "mine/events.jsonl", "mine.request.json"} == set(archive.namelist())
    for other in ("", "x" * 32):
        with pytest.raises(RunError, match="isn't admitted"):
            backup._packed(["mine"], other)
    monkeypatch.setattr(backup.archive, "PART_BYTES", 10)
    app.run()
    assert any("Too large for a download: mine" in caption.value for caption in app.caption)
    assert Run(own_runs / "mine").is_finished()
