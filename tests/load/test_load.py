"""A class on a cold server sees no error and no exception, and leaves nothing behind."""

import contextlib

import pytest

from gptcore.runs.footprint import footprint
from tests.browser.conftest import start_server, stop_server
from tests.load.classroom import drop_kept_sessions, hold
from tests.load.visitors import ACTIONS
from tests.security.forged_client import Client


@pytest.mark.long
def test_thirty_visitors_meet_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_HOSTED", "1")
    lesson = hold(tmp_path, n_visitors=30, seconds=120, n_training=2)
    print(lesson.table())
    assert lesson.errors == []
    assert lesson.exceptions == []
    assert set(ACTIONS) <= {met.action for met in lesson.interactions}
    assert any(lesson.steps.values())
    assert lesson.after.threads <= lesson.before.threads + 20
    # The worker pool, and the session of the last visitor: as many after thirty visitors as after two.
    assert lesson.later.descriptors <= lesson.before.descriptors + 20


@pytest.mark.long
def test_memory_stays_flat_over_many_interactions(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_HOSTED", "1")
    lesson = hold(tmp_path, n_visitors=10, seconds=3000, n_training=0, n_interactions=5000)
    print(lesson.table())
    assert lesson.errors == []
    assert lesson.exceptions == []
    assert len(lesson.interactions) >= 5000
    assert lesson.server_memory(4000, 5000) <= 1.05 * lesson.server_memory(1000, 2000)


@pytest.mark.long
def test_visitors_who_left_take_no_threads_and_no_descriptors(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_HOSTED", "1")
    server = start_server(tmp_path)
    try:
        counts = []
        for n_visitors in (1, 8):  # the first has the server load what all pages need
            with contextlib.ExitStack() as tabs:
                for number in range(n_visitors):
                    tabs.enter_context(Client(server.url, f"{number:032d}", "training"))
                meanwhile = footprint(server.process.pid, server.runs).descriptors
            later = drop_kept_sessions(server)
            counts.append((later.threads, later.descriptors))
        assert counts[0] == counts[1]
        assert meanwhile >= counts[1][1] + 3 * 7  # the others were there, each with an event loop
    finally:
        stop_server(server)
