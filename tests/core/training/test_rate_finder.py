"""The sweep of rates: it climbs as it says, leaves the model alone, ends where it must, and suggests by its rule."""

import math
from itertools import pairwise

import pytest
import torch

from gptcore.config import TrainConfig
from gptcore.corpora.windows import Windows
from gptcore.training.rate_finder import GIVEN_UP, SAFETY, SweepStep, exponential_rates, suggest_rate, sweep


@pytest.fixture
def windows(random_ids):
    return Windows(random_ids(600) % 7, 12, 4, seed=0)


def test_each_rate_is_the_same_number_of_times_the_one_before():
    found = exponential_rates(1e-4, 1.0, 9)
    assert (found[0], found[-1]) == (1e-4, pytest.approx(1.0))
    assert [b / a for a, b in pairwise(found)] == pytest.approx([math.sqrt(10)] * 8)


def test_a_sweep_learns_on_a_copy_and_gives_up_where_the_loss_flies_off(lively, windows):
    model = lively()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    tried = list(sweep(model, TrainConfig(steps=1), windows, lowest=1e-4, highest=1e4, n_steps=60))
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    lowest = min(one.smooth for one in tried)
    assert lowest < tried[0].smooth - 0.5
    assert len(tried) < 60
    assert not tried[-1].smooth < lowest + GIVEN_UP


def test_the_suggestion_is_a_share_of_the_rate_with_the_lowest_loss():
    tried = [
        SweepStep(rate=rate, loss=0.0, smooth=loss) for rate, loss in ((0.1, 5), (1.0, 3), (10.0, math.nan))
    ]
    assert suggest_rate(tried) == 1.0 / SAFETY
    with pytest.raises(ValueError, match="no learning rate gave a finite loss"):
        suggest_rate(tried[2:])
