"""The worker pool: jobs run in children with the limits of their kind, and nothing is left of them.

It runs in both ways: with forks, and with fresh processes on a system that lacks what Windows lacks.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gptcore.resources import available_cores, process_identity, process_is_running
from gptcore.runs import jobs, queue, worker_pool, worker_process
from gptcore.runs.jobs import JobError
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run, log_file, runs_folder
from gptcore.runs.worker_pool import WorkerPool
from tests.core.runs import sample_jobs

WITHOUT_FORKS = """
from gptcore.runs import supervisor, worker_process
worker_process.GPUS = ("/dev/null",)  # as on a machine with a GPU
supervisor.serve()
"""
COMMANDS = {
    "fork": (sys.executable, "-m", "gptcore", "workers"),
    "fresh": (sys.executable, "-c", WITHOUT_FORKS),
}
SECONDS = 60
BROKEN = "tests.core.runs.broken_jobs"
WATCHED = """
from gptcore.runs import jobs, queue, supervisor
poll = queue.poll

def poll_all_but_one(folder, *rest, **named):
    if folder.name == "unforeseen":
        raise KeyError("turn")
    return poll(folder, *rest, **named)

jobs.QUEUED_KINDS["sleep"] = "tests.core.runs.sample_jobs"
queue.poll = poll_all_but_one
supervisor.serve()
"""
PRELOADED = """
import os
import numpy, torch
from gptcore.runs import supervisor

threads = os.listdir("/proc/self/task")
supervisor._preload()
print(len(os.listdir("/proc/self/task")) - len(threads))
"""


@pytest.fixture(scope="module", params=list(COMMANDS))
def pool(request):
    """A pool that forks, and one on a system like Windows."""
    if request.param == "fork" and not worker_process.can_fork():
        pytest.skip("forking is not safe here")
    before = os.environ.get("PYTHONPATH")
    paths = [request.config.rootpath]
    paths += [] if request.param == "fork" else [request.config.rootpath / "tests" / "windows_like"]
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    pool = WorkerPool(COMMANDS[request.param])
    pool.name, pool.forks = request.param, request.param == "fork"
    yield pool
    pool.close()
    os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc here")
def test_a_supervisor_that_ended_leaves_no_zombie():
    pool = WorkerPool(["true"])
    for _ in range(2):
        pool.start()
        wait_for(lambda: pool.pid is None)
    pool.close()
    wait_for(lambda: zombies() == [])


def zombies() -> list[str]:
    """The children of this process that have ended and wait to be reaped."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) == os.getpid():
            found.append(stat.parent.name)
    return found


def job(kind: str, **settings) -> RunRequest:
    return RunRequest(kind=kind, settings=settings)


def wait_for(condition) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def started(job: worker_pool.Job) -> dict:
    """What a job of kind `hold` says once it runs."""
    wait_for(lambda: job.reports or job.is_done())
    return job.reports[0]


def test_a_job_gives_its_result_at_its_niceness_and_what_it_prints_goes_nowhere(pool):
    result = pool.submit(job("double", n=21)).result()
    assert result["twice"] == 42 and result["torch"] == pool.forks
    assert result["nice"] == os.nice(0) + jobs.NICENESS


def test_a_job_that_raises_says_so_in_one_sentence(pool):
    failed = pool.submit(job("complain"))
    with pytest.raises(JobError, match=r"^three heads do not fit$"):
        failed.result()
    assert str(failed.error()) == "three heads do not fit" and failed.error().cause == "failed"
    assert pool.submit(job("double", n=1)).error() is None


def test_a_kind_that_nothing_registers_is_refused(pool):
    with pytest.raises(JobError, match="registers the kind of job 'nothing'"):
        pool.submit(job("nothing"))


def test_the_supervisor_runs_only_what_is_registered(pool):
    """A message written by hand gets no further than the supervisor, and does not end it."""
    sent = [("system", "os"), ("hold", "gptcore.nowhere"), ("broken", BROKEN)]
    messages = [
        {
            "job": {"kind": kind, "module": module, "settings": {}},
            "number": n,
            "seconds": 1.0,
            "environment": {},
        }
        for n, (kind, module) in enumerate(sent)
    ]
    with subprocess.Popen(COMMANDS[pool.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as supervisor:
        for message in messages:
            supervisor.stdin.write(json.dumps(message).encode() + b"\n")
        supervisor.stdin.flush()
        said = [json.loads(supervisor.stdout.readline()) for _ in messages]
        supervisor.stdin.close()
    assert [answer["number"] for answer in said] == [0, 1, 2]
    assert "os does not register the kind of job 'system'" in said[0]["error"]
    assert "cannot be imported: No module named" in said[1]["error"]
    assert "cannot be imported: 3 heads" in said[2]["error"]


def test_a_job_over_its_time_is_ended_and_its_slot_is_free_again(pool):
    with pytest.raises(JobError, match=r"more than 0\.3 seconds") as caught:
        pool.submit(job("sleep")).result()
    assert caught.value.cause == "timeout"
    with pytest.raises(JobError, match=r"more than 0\.2 seconds"):
        pool.submit(job("hold", n=1), seconds=0.2).result()
    assert pool.submit(job("double", n=1)).result()["twice"] == 2


@pytest.fixture
def limiting_pool(pool, monkeypatch, request):
    """A pool of the same way to start children, on a system that limits their memory, which Windows does not."""
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))
    server = WorkerPool(COMMANDS[pool.name])
    yield server
    server.close()


@pytest.mark.skipif(sys.platform != "linux", reason="no limit on data here")
def test_a_job_over_its_memory_says_so(limiting_pool):
    with pytest.raises(JobError, match="needed more memory than a job may use"):
        limiting_pool.submit(job("greedy", bytes=4_000_000_000)).result()
    assert limiting_pool.submit(job("greedy", bytes=10)).result() == 10


def test_a_job_whose_process_is_killed_says_so(pool):
    with pytest.raises(JobError, match="ended without a result") as caught:
        pool.submit(job("die")).result()
    assert caught.value.cause == "ended"


def test_equal_requests_share_one_job_and_what_it_reports(pool, tmp_path):
    first = pool.submit(job("hold", until=str(tmp_path / "done")))
    who = started(first)
    second = pool.submit(job("hold", until=str(tmp_path / "done")))
    assert second is first and second.reports == [who] and not first.is_done()
    assert process_is_running(process_identity(who["pid"]))
    (tmp_path / "done").touch()
    assert first.result() is None
    assert pool.submit(job("hold", until=str(tmp_path / "done"))) is not first  # a result is asked for anew


def test_background_jobs_wait_for_a_slot_and_interactive_ones_do_not_wait_for_them(pool, tmp_path):
    n = max(1, available_cores() // 2)
    held = [pool.submit(job("hold", n=i)) for i in range(n)]
    for one in held:
        started(one)
    waiting = pool.submit(job("hold", n=n))
    assert pool.submit(job("double", n=4)).result()["twice"] == 8
    assert not waiting.reports
    held[0].cancel()
    started(waiting)
    for one in (*held, waiting):
        one.cancel()
        with pytest.raises(JobError, match="it was canceled"):
            one.result()


def test_a_cancelled_job_keeps_its_reports_and_leaves_no_process_and_no_folder(pool):
    held = pool.submit(job("hold"))
    who = started(held)
    identity = process_identity(who["pid"])
    assert Path(who["folder"]).is_dir()
    held.cancel()
    with pytest.raises(JobError, match="it was canceled"):
        held.result()
    assert held.reports == [who]
    wait_for(lambda: not process_is_running(identity))
    assert not Path(who["folder"]).parent.exists()


def test_a_job_that_waits_can_be_cancelled(pool):
    held = [pool.submit(job("hold", n=i)) for i in range(max(1, available_cores() // 2) + 1)]
    started(held[0])
    held[-1].cancel()
    with pytest.raises(JobError, match="it was canceled"):
        held[-1].result()
    assert not held[-1].reports
    for one in held[:-1]:
        one.cancel()
        with pytest.raises(JobError):
            one.result()


def test_a_job_sees_the_settings_of_now_and_computes_the_same_as_here(pool, monkeypatch):
    monkeypatch.setenv("GLASSBOX_QUEUE", "12")
    assert pool.submit(job("settings")).result()["GLASSBOX_QUEUE"] == "12"
    monkeypatch.delenv("GLASSBOX_QUEUE")
    assert "GLASSBOX_QUEUE" not in pool.submit(job("settings")).result()
    assert pool.submit(job("product", n=6400)).result() == sample_jobs.product({"n": 6400}, None)


def test_a_supervisor_that_died_is_started_again_and_its_jobs_have_ended(pool):
    held = pool.submit(job("hold"))
    who = process_identity(started(held)["pid"])
    os.kill(pool.pid, signal.SIGKILL)
    with pytest.raises(JobError, match="has ended; try again"):
        held.result()
    wait_for(lambda: not process_is_running(who))
    assert pool.submit(job("double", n=3)).result()["twice"] == 6


def test_many_threads_may_ask_at_once(pool):
    results = []
    threads = [
        threading.Thread(target=lambda i=i: results.append(pool.submit(job("double", n=i)).result()["twice"]))
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(0, 16, 2))


def tiny_run(tmp_path, text, **length) -> RunRequest:
    (tmp_path / "animals.txt").write_text(text)
    settings = {"d_model": 16, "n_heads": 2, "n_layers": 1, "vocab_size": 280, "context_length": 16}
    settings |= {
        "batch_size": 2,
        "precision": "fp32",
        "attention_path": "fused",
        "n_samples": 1,
        "n_evals": 1,
    }
    settings |= {"dropout": 0.1, "threads": 1}
    return RunRequest(corpus=str(tmp_path / "animals.txt"), settings=settings, **length)


def ended(run: Run) -> str:
    wait_for(lambda: not run.is_under_way())
    return run.state()


def logged(run: Run) -> list[dict]:
    """What a run logged, less what differs from one time to the next."""
    timed = ("seconds", "tokens_per_second", "path", "measured")
    return [{k: v for k, v in event.items() if k not in timed} for event in run.events()[0]]


def test_a_run_in_a_worker_and_the_command_give_the_same_numbers(pool, tmp_path, monkeypatch, text):
    request = tiny_run(tmp_path, text, steps=25)
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    run = queue.submit(request)
    assert run.state() == "waiting"
    pool.poll(runs_folder())
    command = [sys.executable, "-m", "gptcore", "train", *request.arguments(), "--out", str(tmp_path / "own")]
    subprocess.run([*command, "--json"], check=True, capture_output=True)
    assert ended(run) == "done", run.failure()
    own = Run(tmp_path / "own")
    assert logged(run) == logged(own)
    weights = [folder / "latest" / "model.safetensors" for folder in (run.folder, own.folder)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_run_that_cannot_be_trained_says_why(pool, tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    run = queue.submit(RunRequest(corpus=str(tmp_path / "nowhere.txt"), steps=5))
    pool.poll(runs_folder())
    assert ended(run) == "failed" and "nowhere.txt" in run.failure()


def test_a_supervisor_that_is_started_again_watches_the_same_queues(pool, tmp_path, monkeypatch, text):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    runs_folder().mkdir()
    pool.poll(runs_folder())
    dead = pool.pid
    os.kill(dead, signal.SIGKILL)
    wait_for(lambda: pool.pid != dead)
    run = queue.submit(tiny_run(tmp_path, text, steps=2))
    assert pool.submit(job("double", n=1)).result()["twice"] == 2
    assert ended(run) == "done", run.failure()


def test_a_run_outlives_its_server(pool, tmp_path, monkeypatch, text):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    run = queue.submit(tiny_run(tmp_path, text, steps=1_000_000))
    server = WorkerPool(COMMANDS[pool.name])
    server.poll(runs_folder())
    wait_for(lambda: any(event["event"] == "step" for event in run.events()[0]))
    supervisor = process_identity(server.pid)
    server.close()
    wait_for(lambda: not process_is_running(supervisor))
    before = run.last_event()["step"]
    wait_for(lambda: run.last_event()["step"] > before)
    assert run.state() == "running"
    run.stop()
    assert ended(run) == "done"
    assert run.last_event()["reason"] == "stopped"


@pytest.fixture
def watching_pool(pool):
    """A pool of the same way to start children, in which one kind more may wait on disk."""
    before = "" if pool.forks else WITHOUT_FORKS.replace("supervisor.serve()", "")
    server = WorkerPool((sys.executable, "-c", before + WATCHED))
    yield server
    server.close()


def test_a_queued_job_over_its_time_is_ended_and_says_so(watching_pool, tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    queue.submit_named({"long": job("sleep")}, slots=jobs.MEASUREMENT)
    watching_pool.poll(runs_folder())
    log = log_file(runs_folder() / "claims" / "long")
    wait_for(lambda: jobs.last_error(log) is not None)
    assert jobs.last_error(log) == "it took more than 0.3 seconds and was stopped"
    wait_for(lambda: not queue.is_busy(runs_folder()))


def test_a_folder_that_cannot_be_polled_stops_no_other(watching_pool, tmp_path, monkeypatch):
    (tmp_path / "unforeseen").mkdir()
    watching_pool.poll(tmp_path / "unforeseen")
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    queue.submit_named({"long": job("sleep")}, slots=jobs.MEASUREMENT)
    watching_pool.poll(runs_folder())
    wait_for(lambda: not queue.is_busy(runs_folder()))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux lists the threads of a process")
def test_what_is_preloaded_starts_no_thread_that_a_forked_run_would_wait_for():
    done = subprocess.run([sys.executable, "-c", PRELOADED], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
