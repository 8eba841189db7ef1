"""What a batch is worth: parts add up to the whole, and more windows point better."""

import pytest
import torch

from gptcore.training.gradient_noise import accumulation_error, batch_gradient, gradient_agreements


def test_a_gradient_is_what_backward_leaves(lively, random_ids):
    model, ids, targets = lively(), random_ids(4, 12), random_ids(4, 12, seed=1)
    found = batch_gradient(model, ids, targets)
    assert all(weight.grad is None for weight in model.parameters())  # the model is left alone
    model.loss(ids, targets).backward()
    torch.testing.assert_close(found, torch.cat([weight.grad.flatten() for weight in model.parameters()]))


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_equal_parts_give_the_gradient_of_the_whole_and_undivided_ones_a_multiple(lively, random_ids, parts):
    off, length = accumulation_error(lively(), random_ids(4, 12), random_ids(4, 12, seed=1), parts)
    assert off < 1e-5
    assert length == pytest.approx(parts, rel=1e-4)


def test_parts_that_are_not_equal_are_refused(lively, random_ids):
    with pytest.raises(ValueError, match="4 windows cannot be split into 3 equal parts"):
        batch_gradient(lively(), random_ids(4, 12), random_ids(4, 12), parts=3)


def test_larger_batches_point_better(lively, random_ids):
    ids, targets = random_ids(80, 6), random_ids(80, 6, seed=1)
    small, large = gradient_agreements(lively(), ids, targets, (1, 16), 2)
    assert sum(large.cosines) > sum(small.cosines)
    assert all(-1 <= one <= 1 for one in (*small.cosines, *large.cosines))
    with pytest.raises(ValueError, match="too few"):
        list(gradient_agreements(lively(), ids, targets, (40,), 2))
