"""A class on a cold server sees no error and no exception, and leaves nothing behind."""

import pytest

from tests.load.classroom import hold
from tests.load.visitors import ACTIONS


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


@pytest.mark.long
def test_memory_stays_flat_over_many_interactions(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBOX_HOSTED", "1")
    lesson = hold(tmp_path, n_visitors=10, seconds=1200, n_training=0, n_interactions=2000)
    print(lesson.table())
    assert lesson.errors == []
    assert lesson.exceptions == []
    assert len(lesson.interactions) >= 2000
    assert lesson.server_memory(1500, 2000) <= 1.05 * lesson.server_memory(1000, 1500)
