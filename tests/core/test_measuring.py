"""The queue of measurements: shared, fair, one at a time, and to be stopped."""

import os
import sys
import time

import pytest

from gptcore import claims, measuring
from gptcore.claims import ClaimError
from gptcore.nursery import Nursery
from gptcore.runs import runs_folder

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
    measuring.ask([QUICK, OTHER], owner="ada")
    measuring.ask([QUICK], owner="bob")
    assert measuring.asked() == [QUICK, OTHER] and measuring.asked(owner="bob") == [QUICK]
    assert measuring.tend(runs_folder(), launches) == QUICK
    assert measuring.tend(runs_folder(), launches) is None
    assert launches.words == [["claims", "--only", QUICK, "--json"]]
    assert measuring.state(OTHER) == "waiting" and measuring.is_busy(runs_folder())


def test_who_asks_for_all_does_not_hold_up_who_asks_for_one():
    many = ["gqa_cache", "gqa_weights", "divide_by_d", "softmax_scale"]
    measuring.ask(many, owner="ada")
    measuring.tend(runs_folder(), Launches())
    measuring.ask([OTHER], owner="bob")
    assert measuring.asked()[:2] == ["gqa_cache", OTHER] or measuring.asked()[1:3] == ["gqa_weights", OTHER]


def test_what_others_asked_for_goes_on_when_one_leaves():
    measuring.ask([QUICK, OTHER], owner="ada")
    measuring.ask([QUICK], owner="bob")
    measuring.leave([QUICK, OTHER], owner="ada")
    assert measuring.asked() == [QUICK]
    measuring.leave([QUICK], owner="eve")
    assert measuring.state(QUICK) == "waiting"
    measuring.leave([QUICK], owner="bob")
    assert measuring.asked() == [] and not measuring.is_busy(runs_folder())


def test_a_claim_that_does_not_exist_is_refused_and_nothing_waits():
    with pytest.raises(ClaimError, match="there is no claim 'nothing'"):
        measuring.ask([QUICK, "nothing"])
    assert measuring.asked() == []


def test_a_process_that_could_not_be_started_is_told():
    def refuses(words, log):
        raise OSError(11, "Resource temporarily unavailable")

    measuring.ask([QUICK])
    measuring.tend(runs_folder(), refuses)
    assert measuring.problem(QUICK) == "the process could not be started: Resource temporarily unavailable"
    assert measuring.state(QUICK) is None
    measuring.tend(runs_folder(), refuses)
    assert not measuring.is_busy(runs_folder())
    measuring.ask([QUICK])
    assert measuring.problem(QUICK) is None


@pytest.mark.skipif(sys.platform == "win32", reason="processes end otherwise there")
def test_the_nursery_measures_what_was_asked_for_says_how_far_it_is_and_can_be_stopped(keeper):
    measuring.ask([QUICK, LONG], owner="ada")
    keeper.tend(runs_folder())
    wait_for(lambda: claims.last_result(QUICK) is not None)
    assert claims.last_result(QUICK).verdict == "holds"
    wait_for(lambda: (measuring.share_done(LONG) or 0) > 0)
    assert measuring.state(LONG) == "measuring" and claims.is_held(claims.LOCK)
    measuring.leave([LONG], owner="ada")
    wait_for(lambda: measuring.state(LONG) is None and not claims.is_held(claims.LOCK))
    assert claims.last_result(LONG) is None and measuring.share_done(LONG) is None
