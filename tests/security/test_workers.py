"""Attacks on the worker pool: damaged files, jobs that take too much, supervisors that die.

Supervisors and processes are real. What each test attacks is said in its name.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gptcore.files import read_json, write_json
from gptcore.resources import end_process
from gptcore.runs import queue, worker_pool, worker_process
from gptcore.runs.cleaner import Cleaner
from gptcore.runs.jobs import MEASUREMENT, JobError, last_error
from gptcore.runs.limits import LimitError, Limits
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run, delete, list_runs, log_file, request_file
from gptcore.runs.worker_pool import WorkerPool
from tests.security import worker_kinds  # noqa: F401 - registers them
from tests.security.conftest import SETTINGS, WORDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and limits of Linux")

SECONDS = 90
SUPERVISOR = """
from gptcore.runs import jobs, queue_watch, supervisor
jobs.QUEUED_KINDS["spin"] = "tests.security.worker_kinds"
supervisor.serve()
"""
STRICT = "from gptcore.runs import queue_watch\nqueue_watch.SPARE_SECONDS = 0.0\n"
WITHOUT_FORKS = """
from gptcore.runs import worker_process
worker_process.GPUS = ("/dev/null",)  # as on a machine with a GPU
"""
# A step of hours: no event comes at which a run could listen.
ENDLESS_STEP = SETTINGS | {"accumulation": 2_000_000}


@pytest.fixture(scope="module")
def server() -> Iterator[WorkerPool]:
    """A server's pool, for all tests here."""
    yield from served(SUPERVISOR)


@pytest.fixture(scope="module")
def strict_server() -> Iterator[WorkerPool]:
    """The pool of another server, which gives runs no time to spare."""
    yield from served(STRICT + SUPERVISOR)


def served(code: str) -> Iterator[WorkerPool]:
    pool = WorkerPool((sys.executable, "-c", code))
    yield pool
    pool.close()


@pytest.fixture(autouse=True)
def nothing_left(runs_folder):
    """End the runs that a test has started."""
    yield
    for _, _, launched in queue.launched_processes(runs_folder):
        end_process(launched["pid"])


def job(kind: str, **settings) -> RunRequest:
    return RunRequest(kind=kind, settings=settings)


def tiny_run(tmp_path: Path, settings: dict = SETTINGS, **length) -> RunRequest:
    (tmp_path / "words.txt").write_text(WORDS * 100)
    return RunRequest(corpus=str(tmp_path / "words.txt"), tokenizer="train", settings=settings, **length)


def wait_for(condition) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(run: Run) -> str:
    wait_for(lambda: not run.is_under_way())
    return run.state()


DONE = {"event": "done", "step": 5}
SOUND = {
    "owners": ["a"],
    "waiting": True,
    "turn": 0,
    "sequence": 1,
    "launched": None,
    "request": {"kind": "train", "corpus": "/nowhere/at/all"},
}
BAD_REQUESTS = {
    "turn-1e999": '{"owners": ["a"], "waiting": true, "turn": 1e999}',
    "turn-nan": '{"owners": ["a"], "waiting": true, "turn": NaN}',
    "turn-text": json.dumps(SOUND | {"turn": "first"}),
    "turn-huge": json.dumps(SOUND | {"turn": 10**300, "sequence": 10**300}),
    "turn-largest": json.dumps(SOUND | {"turn": 2**53, "sequence": 2**53}),
    "asked-nan": '{"owners": ["a"], "waiting": false, "asked": NaN}',
    "asked-huge": json.dumps(SOUND | {"asked": 10**400}),
    "pid-negative": json.dumps(SOUND | {"waiting": False, "launched": {"pid": -1, "born": 1}}),
    "pid-huge": json.dumps(SOUND | {"waiting": False, "launched": {"pid": 10**300, "born": 1}}),
    "pid-text": json.dumps(SOUND | {"waiting": False, "launched": {"pid": "1", "born": None}}),
    "pid-2-53": json.dumps(SOUND | {"waiting": False, "launched": {"pid": 2**53, "born": 2**53}}),
    "launched-list": json.dumps(SOUND | {"waiting": False, "launched": [1, 2]}),
    "supervisor-text": json.dumps(SOUND | {"launched": {"pid": 1, "born": 1, "supervisor": "me"}}),
    "request-deep": '{"owners": ["a"], "waiting": true, "request": ' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}",
    "request-huge": json.dumps(SOUND | {"request": {"settings": {"d_model": 10**400}, "steps": 5}}),
    "request-kind": json.dumps(SOUND | {"request": {"kind": "system"}}),
    "nested": "[" * 100_000,
    "empty": "",
    "binary": "\x00\x01",
}  # fmt: skip
BAD_EVENTS = {
    "done-without-reason": json.dumps(DONE),
    "failed-without-reason": json.dumps(DONE | {"event": "failed"}),
    "step-text": json.dumps(DONE | {"step": "five", "reason": "steps"}),
    "step-1e999": '{"event": "done", "step": 1e999, "reason": "steps"}',
    "event-list": json.dumps(DONE | {"event": ["done"]}),
    "deep": '{"event": "done", "step": 5, "reason": ' + "[" * 30_000,
    "surrogate": '{"event": "done", "step": 5, "reason": "\\ud800"}',
}


def harm(folder: Path) -> None:
    """Fill a runs folder with everything that a request file, a log of events and a log should not be."""
    for name, text in BAD_REQUESTS.items():
        request_file(folder / name).write_text(text)
    for name, line in BAD_EVENTS.items():
        (folder / name).mkdir()
        write_json(folder / name / "config.json", {"format": "glassbox-run-1", "corpus": "stories"})
        (folder / name / "events.jsonl").write_text(line + "\n")
        launched = {"pid": os.getpid(), "born": 1, "log_size": 0}
        write_json(request_file(folder / name), SOUND | {"waiting": False, "launched": launched})
    for name, part in (
        ("events-folder", "events.jsonl"),
        ("config-folder", "config.json"),
        ("lock-folder", "lock"),
    ):
        (folder / name / part).mkdir(parents=True)
        request_file(folder / name).write_text(json.dumps(SOUND))
    request_file(folder / "request-folder").mkdir()
    log_file(folder / "log-folder").mkdir()
    request_file(folder / "log-folder").write_text(json.dumps(SOUND))


def test_damaged_runs_and_requests_stop_nobody_and_can_be_deleted(server, runs_folder, tmp_path):
    runs_folder.mkdir(exist_ok=True)
    harm(runs_folder)
    server.poll(runs_folder)
    supervisor = server.pid
    run = queue.submit(tiny_run(tmp_path, steps=2))
    assert queue.submit(tiny_run(tmp_path, steps=3), owner="a").state() == "waiting"
    server.poll(runs_folder)
    assert ended(run) == "done", run.failure()
    removed = Cleaner().clean(runs_folder, Limits.from_environment({"GLASSBOX_KEEP_HOURS": "1e-9"}))
    assert server.pid == supervisor
    for left in list_runs(folder=runs_folder):
        wait_for(lambda left=left: not left.is_alive())
        delete(left)
    assert list_runs(folder=runs_folder) == [] and removed


def test_a_supervisor_that_dies_is_started_again_without_a_request(server, runs_folder, tmp_path):
    runs_folder.mkdir(exist_ok=True)
    server.poll(runs_folder)
    held = server.submit(job("wait"))
    wait_for(lambda: held.reports)
    dead = server.pid
    os.kill(dead, signal.SIGKILL)
    run = queue.submit(tiny_run(tmp_path, steps=2))  # the server does not know of it
    assert ended(run) == "done", run.failure()
    assert server.pid not in (None, dead)
    assert held.error().cause == "ended"
    wait_for(lambda: not psutil.pid_exists(held.reports[0]))


CLUMSY = """
from gptcore.runs import supervisor
def fail():
    raise KeyError("turn")
supervisor._preload = fail
"""


def test_a_supervisor_goes_on_after_what_it_did_not_foresee(capfd):
    said = []

    def has_failed() -> bool:
        said.append(capfd.readouterr().err)
        return "goes on after KeyError" in "".join(said)

    for pool in served(CLUMSY + SUPERVISOR):
        pool.preload()
        supervisor = pool.pid
        wait_for(has_failed)
        assert pool.submit(job("add", a=1, b=2)).result() == 3
        assert pool.pid == supervisor


def test_a_crash_loop_does_not_spin():
    delays = []

    class Closed(threading.Event):
        def wait(self, timeout=None):
            delays.append(timeout)
            return len(delays) > 10

    pool = WorkerPool(["true"])
    pool._closed = Closed()
    pool.start()
    wait_for(lambda: len(delays) > 10)
    assert delays == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert worker_pool.LONGEST_DELAY == 60


@pytest.mark.parametrize("way", ["fork", "fresh"])
def test_a_job_that_computes_for_ever_is_ended_by_its_processor_time(way, server):
    if way == "fork" and not worker_process.can_fork():
        pytest.skip("forking is not safe here")
    pools = iter([server]) if way == "fork" else served(WITHOUT_FORKS + SUPERVISOR)
    pool = next(pools)
    with pytest.raises(JobError, match="processor time") as caught:
        pool.submit(job("spin")).result()
    assert caught.value.cause == "timeout"
    assert pool.submit(job("add", a=1, b=2)).result() == 3
    assert list(pools) == []


def test_a_queued_job_that_computes_for_ever_says_so_in_its_log(server, runs_folder):
    queue.submit_named({"spin": job("spin")}, slots=MEASUREMENT)
    server.poll(runs_folder)
    log = log_file(runs_folder / "claims" / "spin")
    wait_for(lambda: last_error(log) is not None)
    assert "processor time" in last_error(log)


def test_a_job_is_ended_for_the_memory_of_what_it_starts(server, monkeypatch):
    monkeypatch.setenv("GLASSBOX_MEMORY_MB", "900")
    hoard = server.submit(job("hoard", n_bytes=1_000_000_000))
    with pytest.raises(JobError, match=r"MB of memory, more than the 900 MB allowed here"):
        hoard.result()
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in hoard.reports))
    assert server.submit(job("add", a=1, b=2)).result() == 3


def test_a_run_that_another_supervisor_started_is_ended_for_its_memory(
    server, strict_server, runs_folder, tmp_path, monkeypatch
):
    run = queue.submit(tiny_run(tmp_path, steps=10**9))
    server.poll(runs_folder)
    wait_for(lambda: run.last_event().get("step", 0) > 3)
    monkeypatch.setenv("GLASSBOX_MEMORY_MB", "20")
    strict_server.poll(runs_folder)
    assert ended(run) == "failed"
    assert "MB of memory, more than the 20 MB allowed here" in run.failure()
    assert run.can_resume()


def test_a_run_that_does_not_listen_is_ended_after_its_time(
    server, strict_server, runs_folder, tmp_path, monkeypatch
):
    run = queue.submit(tiny_run(tmp_path, steps=10**9))
    server.poll(runs_folder)
    wait_for(lambda: run.last_event().get("step", 0) > 3)
    os.kill(run.request()["launched"]["pid"], signal.SIGSTOP)
    monkeypatch.setenv("GLASSBOX_SECONDS", "0.5")
    strict_server.poll(runs_folder)
    assert ended(run) == "failed"
    assert "seconds it may train here, and was stopped" in run.failure()


@pytest.mark.parametrize("way", ["stop", "pause", "seconds"])
def test_a_step_of_hours_does_not_hold_its_slot(way, server, runs_folder, tmp_path, monkeypatch):
    run = queue.submit(tiny_run(tmp_path, ENDLESS_STEP, steps=5))
    monkeypatch.setenv("GLASSBOX_SECONDS", "1" if way == "seconds" else "600")
    server.poll(runs_folder)
    wait_for(lambda: run.last_event().get("event") in ("checkpoint", "done"))
    if way != "seconds":
        getattr(run, way)()
    assert ended(run) == ("paused" if way == "pause" else "done"), run.failure()
    last = run.last_event()
    assert (last["step"], last["tokens"]) == (0, 0)
    assert last["reason"] == {"stop": "stopped", "pause": "paused", "seconds": "seconds"}[way]


def test_a_request_file_that_asks_for_too_much_is_refused_by_the_worker(server, runs_folder, tmp_path):
    run = queue.submit(tiny_run(tmp_path, steps=5))
    record = read_json(request_file(run.folder))
    record["request"]["settings"]["accumulation"] = 10**9
    write_json(request_file(run.folder), record)
    server.poll(runs_folder)
    assert ended(run) == "failed"
    assert "tokens in one step" in run.failure()


def test_a_run_that_asks_for_too_much_is_not_resumed(server, runs_folder, copied):
    run = copied("large")
    config = read_json(run.folder / "config.json")
    config["train"]["accumulation"] = 10**9
    write_json(run.folder / "config.json", config)
    with pytest.raises(LimitError, match="tokens in one step"):
        queue.submit_resume(run)
    write_json(request_file(run.folder), {"id": run.id, "owners": ["a"], "waiting": True, "resume": True})
    server.poll(runs_folder)
    wait_for(lambda: run.failure() is not None)
    assert "tokens in one step" in run.failure()
