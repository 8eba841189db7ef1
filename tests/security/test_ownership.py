"""What changes a run asks whose it is, also where the button that calls it is disabled or not drawn."""

import pytest

from gptcore.files import write_json
from gptcore.runs import queue
from gptcore.runs.run import RunError, request_file
from pages.kit import session, visitor

CHANGES = {
    "pause": session.pause_run,
    "stop": session.stop_run,
    "resume": session.resume_run,
    "withdraw": session.withdraw_run,
    "rename": lambda run: session.rename_run(run, "B was here"),
    "delete": session.delete_run,
}


@pytest.fixture
def owned(copied):
    """A function that gives a run its owners, and puts it in the queue where it waits."""

    def own(*owners: str, waiting: bool = False):
        run = copied("theirs")
        write_json(request_file(run.folder), {"owners": list(owners), "waiting": waiting, "resume": waiting})
        return run

    return own


@pytest.mark.parametrize("waiting", [False, True])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("owners", [["a"], []])
def test_a_stranger_changes_nothing(owned, monkeypatch, change, waiting, owners):
    monkeypatch.setenv("GLASSBOX_HOSTED", "1")
    run = owned(*owners, waiting=waiting)
    before = run.request()
    with pytest.raises(RunError, match=r"^theirs (is controlled by|is not one of)"):
        CHANGES[change](run)
    assert run.request() == before
    assert run.state() == ("waiting" if waiting else "paused")
    assert run.requested_action() is None


def test_the_second_of_two_owners_only_leaves_the_list(owned, monkeypatch):
    monkeypatch.setenv("GLASSBOX_HOSTED", "1")
    for change in ("stop", "delete"):
        run = owned("a", visitor.visitor_id())
        CHANGES[change](run)
        assert run.request()["owners"] == ["a"] and run.state() == "paused"
        request_file(run.folder).unlink()
        session.delete(run)
    run = owned("a", visitor.visitor_id())
    for change in ("pause", "rename"):
        with pytest.raises(RunError, match="is controlled by"):
            CHANGES[change](run)


def test_the_first_of_two_owners_does_not_pause_what_the_other_watches(owned, monkeypatch):
    monkeypatch.setenv("GLASSBOX_HOSTED", "1")
    with pytest.raises(RunError, match="others requested"):
        session.pause_run(owned(visitor.visitor_id(), "a"))


def test_a_queue_hears_no_stranger(owned):
    run = owned("a", waiting=True)
    queue.withdraw(run, "b")
    assert run.state() == "waiting"
    queue.withdraw(run, "a")
    assert run.state() == "paused"


def test_at_home_everyone_controls_every_run(owned):
    run = owned("a visitor of the time when this was a server", waiting=True)
    session.withdraw_run(run)
    assert run.state() == "paused"
    session.rename_run(run, "mine now")
    session.delete_run(run)
    assert not run.folder.exists()
