"""Measurements of attention."""

import pytest

from gptcore.experiments.measurements import attention


@pytest.mark.parametrize("width", [4, 1024])
def test_a_softmax_over_random_scores_is_the_same_in_parts(width, monkeypatch):
    in_parts = attention.softness(width, "1/√d", seed=1)
    monkeypatch.setattr(attention, "QUERIES_AT_ONCE", 256)
    assert attention.softness(width, "1/√d", seed=1) == in_parts
