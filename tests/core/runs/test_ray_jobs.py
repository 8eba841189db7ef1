"""Runs on a real Ray cluster of one machine and one CPU: started, watched, paused, resumed, stopped, killed."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from gptcore.runs import queue, ray_jobs
from gptcore.runs import run as runs
from gptcore.runs.expected_wait import expected_place, expected_wait
from gptcore.runs.request import RunRequest
from gptcore.runs.worker_pool import WorkerPool

job_submission = pytest.importorskip("ray.job_submission", reason="Ray is not installed")
if sys.platform == "win32":
    pytest.skip("Ray's job API is tested on Linux and macOS", allow_module_level=True)

SECONDS = 120  # for something that takes a few, on a machine that is busy
SIZES = {"d_model": 16, "n_heads": 2, "n_layers": 1, "vocab_size": 280, "context_length": 16, "threads": 1}
FIXED = {"batch_size": 2, "precision": "fp32", "attention_path": "fused", "n_samples": 1, "n_evals": 1}
ENDLESS = 10_000_000  # steps


class Head:
    """The head of a Ray cluster with one CPU; Ray's sockets need a short path."""

    def __init__(self, root: Path):
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root),
        }
        self.process = None

    def start(self) -> None:
        words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=1"]
        words += ["--port=0", f"--dashboard-port={self.port}", f"--temp-dir={self.folder}"]
        words += ["--object-store-memory=80000000", "--include-dashboard=true", "--disable-usage-stats"]
        log = (self.folder / "start.log").open("wb")
        self.process = subprocess.Popen(
            words, env=self.environment, stdout=log, stderr=log, start_new_session=True
        )
        wait_for(self.answers, lambda: (self.folder / "start.log").read_text())

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "start.log").read_text()
        try:
            client = job_submission.JobSubmissionClient(self.address)
            return client.list_jobs() is not None
        except (OSError, RuntimeError):
            return False

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_for(condition, what) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def head(pytestconfig):
    head = Head(pytestconfig.rootpath)
    head.start()
    yield head
    head.close()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A function that returns the worker pool of a server that uses the cluster at an address."""
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("GLASSBOX_RUNS_AT_ONCE", "3")
    pools = []

    def start(address: str) -> WorkerPool:
        monkeypatch.setenv(ray_jobs.ADDRESS, address)
        pools.append(WorkerPool())
        pools[-1].poll(runs.runs_folder())
        return pools[-1]

    yield start
    for pool in pools:
        pool.close()
    for run in runs.list_runs():
        runs.request_file(run.folder).unlink(
            missing_ok=True
        )  # a job that has not begun is not wanted any more
    end_trainers()  # even those that are still starting, and so hear no request to stop


@pytest.fixture
def submit(tmp_path, monkeypatch, text):
    """A function that asks for a tiny run."""
    (tmp_path / "animals.txt").write_text(text)

    def submit(steps: int, seed: int = 0) -> runs.Run:
        request = RunRequest(
            corpus=str(tmp_path / "animals.txt"), steps=steps, seed=seed, settings=SIZES | FIXED
        )
        return queue.submit(request, owner="a")

    return submit


def wait_for_state(run: runs.Run, state: str) -> None:
    wait_for(
        lambda: run.state() == state,
        lambda: (run.state(), run.failure(), ray_jobs.problem(runs.runs_folder())),
    )


def wait_until_training(run: runs.Run) -> None:
    wait_for(
        lambda: run.state() == "running" and run.last_event().get("step", 0) > 0,
        lambda: (run.state(), run.failure()),
    )


def job_of(run: runs.Run) -> str:
    return run.request()["launched"]["ray_job"]


def trainers() -> list[int]:
    """The processes that train in the runs folder of this test."""
    mark, found = f"GLASSBOX_RUNS={runs.runs_folder()}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"--once" in words and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def end_trainers() -> None:
    for pid in trainers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_run_is_watched_paused_resumed_and_stopped_through_its_folder(head, server, submit, monkeypatch):
    monkeypatch.setenv("GLASSBOX_HOST_SECRET", "not for the cluster")
    monkeypatch.setenv("GLASSBOX_SECONDS", "1000")
    pool = server(head.address)
    run = submit(ENDLESS)
    pool.poll(runs.runs_folder())
    wait_until_training(run)
    client = job_submission.JobSubmissionClient(head.address)
    assert client.get_job_status(job_of(run)) == "RUNNING"
    assert client.get_job_info(job_of(run)).runtime_env["env_vars"] == {
        "GLASSBOX_RUNS": str(runs.runs_folder()),
        "GLASSBOX_SECONDS": "1000",
    }
    assert run.events()[0][0]["event"] == "start" and queue.position(run) is None
    pool.close()

    pool = server(head.address)  # a server that restarts finds the job again
    run.pause()
    wait_for_state(run, "paused")
    paused_at, paused_job = run.last_event()["step"], job_of(run)
    queue.submit_resume(run, owner="a")
    assert run.state() == "waiting"
    pool.poll(runs.runs_folder())
    wait_until_training(run)
    wait_for(lambda: run.last_event()["step"] > paused_at, run.last_event)
    assert job_of(run) != paused_job and run.events()[0][0]["event"] == "start"
    run.stop()
    wait_for_state(run, "done")
    assert run.last_event()["reason"] == "stopped"
    wait_for(lambda: run.request()["launched"]["ray_status"] == "ended", run.request)
    assert run.failure() is None and trainers() == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose process it is")
def test_a_run_whose_worker_was_killed_says_so_and_can_be_resumed(head, server, submit):
    pool = server(head.address)
    run = submit(60_000)
    pool.poll(runs.runs_folder())
    wait_until_training(run)
    wait_for(run.has_checkpoint, run.last_event)
    (pid,) = trainers()
    os.kill(pid, signal.SIGKILL)
    wait_for_state(run, "failed")
    assert run.failure() == (
        "its process on the Ray cluster was killed, perhaps because memory ran out; resume it from its last checkpoint"
    )
    assert run.action() == "resume"
    queue.submit_resume(run, owner="a")
    pool.poll(runs.runs_folder())
    wait_until_training(run)
    assert run.failure() is None


def test_runs_wait_for_room_on_the_cluster_in_the_queue_and_can_be_withdrawn(head, server, submit):
    pool = server(head.address)
    first = submit(ENDLESS)
    pool.poll(runs.runs_folder())
    wait_until_training(first)
    second, third = submit(5, seed=2), submit(5, seed=3)
    client = job_submission.JobSubmissionClient(head.address)
    jobs = lambda: [queue.is_pending(run.request()) for run in (second, third)]  # noqa: E731
    pool.poll(runs.runs_folder())
    wait_for(lambda: jobs() == [True, True], jobs)
    wait_for(lambda: job_of(second) in {job.submission_id for job in client.list_jobs()}, client.list_jobs)
    assert [(run.state(), queue.position(run)) for run in (second, third)] == [("waiting", 1), ("waiting", 2)]
    # Three runs may train at once; when the cluster has room for the second, nobody here knows.
    assert (expected_wait(second), expected_wait(third), expected_place()) == (None, None, (1, None))
    withdrawn = job_of(second)
    queue.withdraw(second, "a")
    assert second not in runs.list_runs() and third.state() == "waiting"
    first.stop()
    wait_for_state(third, "done")
    wait_for(lambda: client.get_job_status(withdrawn).is_terminal(), lambda: client.get_job_info(withdrawn))
    assert third.is_finished() and not second.folder.exists()


def test_a_cluster_that_does_not_answer_is_told_and_its_runs_wait(head, server, submit):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pool = server(f"http://127.0.0.1:{port}")
    run, folder = submit(5), runs.runs_folder()
    pool.poll(folder)
    wait_for(lambda: ray_jobs.problem(folder) is not None, run.state)
    assert ray_jobs.problem(folder) == (
        "the Ray cluster does not answer; runs wait until it does, so check GLASSBOX_RAY and the cluster"
    )
    assert (run.state(), queue.position(run), expected_wait(run)) == ("waiting", 1, None)
    pool.close()
    server(head.address)
    wait_for_state(run, "done")
    assert run.is_finished() and ray_jobs.problem(folder) is None


def test_a_run_that_takes_too_much_memory_is_ended_where_it_trains(head, server, submit, monkeypatch):
    monkeypatch.setenv("GLASSBOX_MEMORY_MB", "100")  # Python with torch takes more
    pool = server(head.address)
    run = submit(ENDLESS)
    pool.poll(runs.runs_folder())
    wait_for_state(run, "failed")
    assert "more than the 100 MB allowed here, and was stopped" in run.failure()


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose process it is")
def test_a_job_that_the_cluster_has_forgotten_is_told_and_the_run_resumes(head, server, submit):
    pool = server(head.address)
    run = submit(60_000)
    pool.poll(runs.runs_folder())
    wait_until_training(run)
    wait_for(run.has_checkpoint, run.last_event)
    head.kill()
    end_trainers()  # a machine that is lost takes all its processes along
    wait_for_state(run, "interrupted")
    head.start()
    wait_for_state(run, "failed")
    assert run.failure().startswith("the Ray cluster lost its job") and run.action() == "resume"
    queue.submit_resume(run, owner="a")
    pool.poll(runs.runs_folder())
    wait_until_training(run)


@pytest.mark.timeout(60)  # without a limit the request would never end
def test_a_request_that_is_not_answered_ends_with_the_sentence_of_a_cluster_that_is_away(monkeypatch):
    monkeypatch.setattr(ray_jobs, "ANSWER_SECONDS", 0.2)
    silent = socket.create_server(("127.0.0.1", 0))  # the system takes connections, and nobody reads them
    with silent, pytest.raises(ray_jobs.ClusterError, match="the Ray cluster does not answer"):
        ray_jobs._connect(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_a_wrong_setting_and_a_missing_ray_are_each_one_sentence(monkeypatch):
    with pytest.raises(ray_jobs.ClusterError, match="GLASSBOX_RAY=auto must be the address of a Ray job API"):
        ray_jobs._connect("auto")
    monkeypatch.setenv(ray_jobs.CPUS, "two")
    with pytest.raises(ray_jobs.ClusterError, match="GLASSBOX_RAY_CPUS=two must be a number greater than 0"):
        ray_jobs._number(ray_jobs.CPUS, 1)
    monkeypatch.setitem(sys.modules, "ray.job_submission", None)  # as where it is not installed
    with pytest.raises(
        ray_jobs.ClusterError, match=r"not installed on this server; install it with `pip install"
    ):
        ray_jobs._connect("http://127.0.0.1:8265")
