"""When a run is evaluated, and the losses it is compared with."""

import math

import pytest
import torch

from gptcore.training.evaluation import bigram_loss, eval_steps, unigram_entropy


@pytest.mark.parametrize(("count", "total"), [(1, 1), (20, 1), (20, 7), (4, 24), (20, 10_000)])
def test_eval_steps_lie_in_the_run_and_the_last_step_is_one(count, total):
    steps = eval_steps(count, total)
    assert max(steps) == total
    assert min(steps) >= 1
    assert len(steps) <= count


def test_unigram_entropy_is_the_loss_of_a_guess_by_frequency():
    assert unigram_entropy(torch.tensor([3, 3, 5, 7])) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(4))
    assert unigram_entropy(torch.arange(50)) == pytest.approx(math.log(50))


def test_a_bigram_table_by_hand():
    """Oracle: the blend written out for a text of two tokens."""
    train_ids, val_ids = torch.tensor([0, 1, 0, 1, 0, 0]), torch.tensor([0, 1, 1])
    alone = {0: 5 / 8, 1: 3 / 8}  # 4 and 2 of 6, each counted once more
    after_0, after_1 = (2 + 2 * alone[1]) / (4 + 2), (0 + 2 * alone[1]) / (2 + 2)
    assert bigram_loss(train_ids, val_ids) == pytest.approx(-(math.log(after_0) + math.log(after_1)) / 2)


def test_a_bigram_table_of_a_large_vocabulary_tells_all_pairs_apart():
    """A number for each pair of 100,000 tokens is larger than an int32 holds."""
    train_ids, val_ids = (torch.tensor(ids) * 99_999 for ids in ([0, 1, 0, 1, 0, 0], [0, 1, 1]))
    assert bigram_loss(train_ids.int(), val_ids.int()) == bigram_loss(train_ids, val_ids)
