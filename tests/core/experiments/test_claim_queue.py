"""Claims in the job queue: shared, fair, one at a time, and to be stopped."""

import os
import sys
import time

import pytest

from gptcore.experiments import claim_queue, claims
from gptcore.experiments.claims import ClaimError
from gptcore.files import write_json
from gptcore.resources import process_identity
from gptcore.runs import queue
from gptcore.runs.run import log_file, progress_file, request_file, runs_folder
from gptcore.runs.worker_pool import WorkerPool

QUICK, OTHER, LONG = "gqa_cache", "beta_pushes", "unused_rows_stay"
SECONDS = 60


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """A runs folder of its own, and a machine nobody else measures on."""
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(claims, "LOCK", tmp_path / "glassbox-measuring.lock")


@pytest.fixture
def pool(own_folder):
    """The worker pool of a server."""
    pool = WorkerPool()
    yield pool
    pool.close()


class Launches:
    """What would be started: each process, this one, lives until `end`."""

    def __init__(self):
        self.jobs: list[dict] = []

    def __call__(self, job, log):
        self.jobs.append(dict(job))
        return process_identity(os.getpid())

    def end(self, *, killed_with: dict[str, int] | None = None) -> None:
        """Have the launched process ended, by itself or together with its supervisor."""
        requests = queue.Requests(runs_folder(), "measurement")
        record = requests.running[0]
        gone = {"pid": 0, "born": 0} | ({"supervisor": killed_with} if killed_with else {})
        requests.write(record | {"launched": record["launched"] | gone})


def poll(launch) -> list[str]:
    return queue.poll(runs_folder(), launch)


def wait_for(condition):
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_one_is_launched_at_a_time_and_the_same_one_once():
    launches = Launches()
    claim_queue.submit_claims([QUICK, OTHER], owner="ada")
    claim_queue.submit_claims([QUICK], owner="bob")
    assert claim_queue.open_claims() == [QUICK, OTHER] and claim_queue.open_claims(owner="bob") == [QUICK]
    assert poll(launches) == [QUICK]
    assert poll(launches) == []
    settings = {"name": QUICK}
    assert launches.jobs == [{"kind": "claim", "module": "gptcore.experiments.claims", "settings": settings}]
    assert claim_queue.state(OTHER) == "waiting" and queue.is_busy(runs_folder())
    launches.end()
    assert poll(launches) == [OTHER]
    assert claim_queue.open_claims() == [OTHER]


def test_who_asks_for_all_does_not_hold_up_who_asks_for_one():
    many = ["gqa_cache", "gqa_weights", "divide_by_d", "softmax_scale"]
    claim_queue.submit_claims(many, owner="ada")
    poll(Launches())
    claim_queue.submit_claims([OTHER], owner="bob")
    # Bob's only request has the turn of the one that is measured now, so it comes before Ada's second.
    assert claim_queue.open_claims() == ["gqa_cache", OTHER, "gqa_weights", "divide_by_d", "softmax_scale"]


def test_what_others_asked_for_goes_on_when_one_leaves():
    claim_queue.submit_claims([QUICK, OTHER], owner="ada")
    claim_queue.submit_claims([QUICK], owner="bob")
    claim_queue.withdraw_claims([QUICK, OTHER], owner="ada")
    assert claim_queue.open_claims() == [QUICK]
    claim_queue.withdraw_claims([QUICK], owner="eve")
    assert claim_queue.state(QUICK) == "waiting"
    claim_queue.withdraw_claims([QUICK], owner="bob")
    assert claim_queue.open_claims() == [] and not queue.is_busy(runs_folder())


def test_a_claim_that_does_not_exist_is_refused_and_nothing_waits():
    with pytest.raises(ClaimError, match="there is no claim 'nothing'"):
        claim_queue.submit_claims([QUICK, "nothing"])
    assert claim_queue.open_claims() == []


def test_a_process_that_could_not_be_started_is_told():
    def refuses(job, log):
        raise OSError(11, "Resource temporarily unavailable")

    claim_queue.submit_claims([QUICK])
    poll(refuses)
    assert claim_queue.problem(QUICK) == "the process could not be started: Resource temporarily unavailable"
    assert claim_queue.state(QUICK) is None
    poll(refuses)
    assert not queue.is_busy(runs_folder())
    claim_queue.submit_claims([QUICK])
    assert claim_queue.problem(QUICK) is None


def test_a_claim_whose_supervisor_was_killed_with_it_is_measured_again_and_one_that_ended_is_not():
    launches = Launches()
    claim_queue.submit_claims([QUICK], owner="ada")
    poll(launches)
    write_json(claims.claim_progress_file(QUICK), {"share": 0.5})
    launches.end(killed_with={"pid": os.getpid(), "born": process_identity(os.getpid())["born"] + 1})
    assert poll(launches) == [QUICK] and claim_queue.open_claims(owner="ada") == [QUICK]
    assert claim_queue.fraction_done(QUICK) is None
    launches.end()
    assert poll(launches) == [] and claim_queue.open_claims() == []


def test_a_claim_that_was_asked_for_again_as_it_ended_is_measured_again():
    launches = Launches()
    claim_queue.submit_claims([QUICK], owner="ada")
    poll(launches)
    launches.end()
    claim_queue.submit_claims([QUICK], owner="bob")
    assert poll(launches) == [QUICK] and claim_queue.open_claims(owner="bob") == [QUICK]


def test_requests_of_the_first_edition_are_measured():
    claims.folder().mkdir(parents=True)
    first = {"owners": ["ada"], "launched": None, "turn": 0, "sequence": 1}
    write_json(request_file(claims.folder() / QUICK), first)
    ended = first | {"sequence": 2, "launched": {"pid": 0, "born": 0}}
    write_json(request_file(claims.folder() / OTHER), ended)
    launches = Launches()
    assert claim_queue.state(QUICK) == "waiting" and claim_queue.open_claims() == [QUICK]
    assert poll(launches) == [QUICK]
    assert launches.jobs[0]["kind"] == "claim" and launches.jobs[0]["settings"] == {"name": QUICK}
    assert claim_queue.open_claims() == [QUICK]


@pytest.mark.skipif(sys.platform == "win32", reason="processes end otherwise there")
def test_a_worker_measures_what_was_asked_for_says_how_far_it_is_and_can_be_stopped(pool):
    claim_queue.submit_claims([QUICK, LONG], owner="ada")
    pool.poll(runs_folder())
    wait_for(lambda: claims.last_result(QUICK) is not None)
    assert claims.last_result(QUICK).verdict == "holds"
    wait_for(lambda: (claim_queue.fraction_done(LONG) or 0) > 0)
    assert claim_queue.state(LONG) == "measuring" and claims.is_held(claims.LOCK)
    claim_queue.withdraw_claims([LONG], owner="ada")
    wait_for(lambda: claim_queue.state(LONG) is None and not claims.is_held(claims.LOCK))
    assert claims.last_result(LONG) is None and claim_queue.problem(LONG) is None
    wait_for(lambda: not log_file(claims.folder() / LONG).exists())
    assert not progress_file(claims.folder() / LONG).exists()
