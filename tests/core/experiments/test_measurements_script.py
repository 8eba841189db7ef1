"""Measurements of weights under other configs."""

import pytest

from gptcore.experiments.measurements import script


def test_the_loss_under_a_config_is_that_of_all_windows_at_once(lively, random_ids):
    model, ids, targets = lively(), random_ids(10, 12), random_ids(10, 12, seed=1)
    assert len(ids) % script.WINDOWS_AT_ONCE  # the last part is smaller
    right = script.loss_misread(model, {}, ids, targets)
    assert right == pytest.approx(model.loss(ids, targets).item(), rel=1e-6)
    assert script.loss_misread(model, {"causal": False}, ids, targets) != pytest.approx(right, rel=1e-3)
