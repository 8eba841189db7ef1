"""Nothing is left behind when a server is killed in the middle of everything, and runs go on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from gptcore.experiments import claim_queue, claims
from gptcore.resources import process_identity, process_is_running
from gptcore.runs import queue, worker_process
from gptcore.runs import run as runs
from gptcore.runs.request import RunRequest
from gptcore.runs.supervisor import TEMPORARY
from gptcore.runs.worker_pool import WorkerPool

CLAIM = "unused_rows_stay"
SECONDS = 90
# A server without its pages: it asks for an explainer block and a computation of a lab, and for what is queued.
SERVER = """
import time
from explainers import execution
from gptcore.runs import lab_jobs, worker_pool
from gptcore.runs.request import RunRequest
from gptcore.runs.run import runs_folder

pool = worker_pool.shared()
pool.poll(runs_folder())
blocks = [{"topic": "adamw", "number": 1, "values": {}}] * 10_000
block = pool.submit(RunRequest(kind="explainer_blocks", settings={"blocks": blocks}), seconds=600)
computation = lab_jobs.submit_finetune(1_000_000)
while not block.is_done() and not computation.is_done():
    time.sleep(0.1)
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells which processes belong together"
)


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """A runs folder and a folder for temporary files of its own, which also mark the processes of this test."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(claims, "LOCK", tmp_path / "tmp" / claims.LOCK.name)
    yield
    for pid in ours():
        os.kill(pid, signal.SIGKILL)


def ours() -> dict[int, int]:
    """The processes that this test has started, each with its parent."""
    mark, found = f"TMPDIR={os.environ['TMPDIR']}".encode(), {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                if stat[0] not in "ZX" and int(folder.name) != os.getpid():
                    found[int(folder.name)] = int(stat[1])
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def wait_for(condition, what) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


@pytest.mark.parametrize("victims", ["server", "supervisor and server"])
def test_a_killed_server_leaves_its_runs_and_nothing_else(victims, tmp_path, text, request):
    if not worker_process.can_fork():
        pytest.skip("four fresh processes take too long for a test")
    run = long_run(tmp_path, text)
    claim_queue.submit_claims([CLAIM, "gqa_cache"], owner="a")
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], env=os.environ | {"PYTHONPATH": str(request.config.rootpath)}
    )
    everything_is_under_way(server, run)
    supervisor = next(pid for pid, parent in ours().items() if parent == server.pid)
    jobs = [pid for pid, parent in ours().items() if parent == supervisor]
    assert len(jobs) == 4 and len(list((tmp_path / "tmp").glob(f"{TEMPORARY}*/*"))) == 3
    if victims != "server":
        os.kill(supervisor, signal.SIGKILL)
    server.kill()
    server.wait()

    trained_by = run.request()["launched"]["pid"]
    wait_for(lambda: list(ours()) == [trained_by], ours)
    assert runs.list_runs("a") == [run] and run.state() == "running"
    # A process counts as ended as soon as its main thread has; its other threads let go of its locks a moment later.
    wait_for(lambda: not claims.is_held(claims.LOCK) and not claims.is_being_measured(CLAIM), ours)

    restarted = WorkerPool()
    restarted.poll(runs.runs_folder())
    wait_for(lambda: claim_queue.state(CLAIM) == "measuring", lambda: claim_queue.problem(CLAIM))
    assert claim_queue.state("gqa_cache") == "waiting"  # its turn comes after
    assert runs.list_runs("a") == [run] and run.request()["launched"]["pid"] == trained_by
    claim_queue.withdraw_claims([CLAIM, "gqa_cache"], owner="a")
    run.stop()
    wait_for(lambda: run.state() == "done", run.failure)
    restarted.close()
    wait_for(lambda: not ours(), ours)
    assert list((tmp_path / "tmp").glob(f"{TEMPORARY}*")) == []
    for path in [*(tmp_path / "runs").rglob("*lock"), claims.LOCK]:
        FileLock(path, timeout=0).acquire().lock.release()
    assert not queue.is_busy(runs.runs_folder())
    leftovers = [path for path in (tmp_path / "runs").rglob(".*") if path.name != ".lock"]
    assert leftovers == [] and list((tmp_path / "runs").rglob("*.progress")) == []


def long_run(tmp_path, text) -> runs.Run:
    (tmp_path / "animals.txt").write_text(text)
    sizes = {"d_model": 16, "n_heads": 2, "n_layers": 1, "vocab_size": 280, "context_length": 16}
    fixed = {"batch_size": 2, "precision": "fp32", "attention_path": "fused", "n_evals": 1, "threads": 1}
    request = RunRequest(corpus=str(tmp_path / "animals.txt"), steps=10_000_000, settings=sizes | fixed)
    return queue.submit(request, owner="a")


def everything_is_under_way(server: subprocess.Popen, run: runs.Run) -> None:
    """Wait for four jobs: the run, the claim, the block and the computation."""

    def is_so() -> bool:
        assert server.poll() is None
        return run.last_event().get("step", 0) > 0 and claim_queue.fraction_done(CLAIM) and len(ours()) == 6

    wait_for(is_so, lambda: (ours(), run.state(), run.failure(), claim_queue.problem(CLAIM)))
    assert process_is_running(process_identity(server.pid))
