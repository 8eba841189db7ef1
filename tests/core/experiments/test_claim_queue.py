"""The queue of measurements: shared, fair, one at a time, and to be stopped."""

import os
import sys
import time

import pytest

from gptcore.experiments import claim_queue, claims
from gptcore.experiments.claims import ClaimError
from gptcore.runs.run import runs_folder
from gptcore.runs.workers import Nursery

QUICK, OTHER, LONG = "gqa_cache", "beta_pushes", "unused_rows_stay"
SECONDS = 60


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """A runs folder of its own, and a machine nobody else measures on."""
    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(claims, "LOCK", tmp_path / "glassbox-measuring.lock")


@pytest.fixture
def keeper(own_folder):
    """The process that jobs are forked from."""
    found = Nursery()
    yield found
    found.close()


class Launches:
    """What would be started: each `process` lives until the test ends it."""

    def __init__(self):
        self.words: list[list[str]] = []

    def __call__(self, words, log):
        self.words.append(list(words))
        return os.getpid()  # a process that lives


def wait_for(condition):
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_one_is_launched_at_a_time_and_the_same_one_once():
    launches = Launches()
    claim_queue.ask([QUICK, OTHER], owner="ada")
    claim_queue.ask([QUICK], owner="bob")
    assert claim_queue.asked() == [QUICK, OTHER] and claim_queue.asked(owner="bob") == [QUICK]
    assert claim_queue.tend(runs_folder(), launches) == QUICK
    assert claim_queue.tend(runs_folder(), launches) is None
    assert launches.words == [["claims", "--only", QUICK, "--json"]]
    assert claim_queue.state(OTHER) == "waiting" and claim_queue.is_busy(runs_folder())


def test_who_asks_for_all_does_not_hold_up_who_asks_for_one():
    many = ["gqa_cache", "gqa_weights", "divide_by_d", "softmax_scale"]
    claim_queue.ask(many, owner="ada")
    claim_queue.tend(runs_folder(), Launches())
    claim_queue.ask([OTHER], owner="bob")
    assert claim_queue.asked()[:2] == ["gqa_cache", OTHER] or claim_queue.asked()[1:3] == [
        "gqa_weights",
        OTHER,
    ]


def test_what_others_asked_for_goes_on_when_one_leaves():
    claim_queue.ask([QUICK, OTHER], owner="ada")
    claim_queue.ask([QUICK], owner="bob")
    claim_queue.leave([QUICK, OTHER], owner="ada")
    assert claim_queue.asked() == [QUICK]
    claim_queue.leave([QUICK], owner="eve")
    assert claim_queue.state(QUICK) == "waiting"
    claim_queue.leave([QUICK], owner="bob")
    assert claim_queue.asked() == [] and not claim_queue.is_busy(runs_folder())


def test_a_claim_that_does_not_exist_is_refused_and_nothing_waits():
    with pytest.raises(ClaimError, match="there is no claim 'nothing'"):
        claim_queue.ask([QUICK, "nothing"])
    assert claim_queue.asked() == []


def test_a_process_that_could_not_be_started_is_told():
    def refuses(words, log):
        raise OSError(11, "Resource temporarily unavailable")

    claim_queue.ask([QUICK])
    claim_queue.tend(runs_folder(), refuses)
    assert claim_queue.problem(QUICK) == "the process could not be started: Resource temporarily unavailable"
    assert claim_queue.state(QUICK) is None
    claim_queue.tend(runs_folder(), refuses)
    assert not claim_queue.is_busy(runs_folder())
    claim_queue.ask([QUICK])
    assert claim_queue.problem(QUICK) is None


@pytest.mark.skipif(sys.platform == "win32", reason="processes end otherwise there")
def test_the_nursery_measures_what_was_asked_for_says_how_far_it_is_and_can_be_stopped(keeper):
    claim_queue.ask([QUICK, LONG], owner="ada")
    keeper.tend(runs_folder())
    wait_for(lambda: claims.last_result(QUICK) is not None)
    assert claims.last_result(QUICK).verdict == "holds"
    wait_for(lambda: (claim_queue.share_done(LONG) or 0) > 0)
    assert claim_queue.state(LONG) == "measuring" and claims.is_held(claims.LOCK)
    claim_queue.leave([LONG], owner="ada")
    wait_for(lambda: claim_queue.state(LONG) is None and not claims.is_held(claims.LOCK))
    assert claims.last_result(LONG) is None and claim_queue.share_done(LONG) is None
