"""The frugal cross-entropy: torch's own, value and gradients, in any precision and any shape."""

import math

import pytest
import torch
from torch.nn import functional as F

from gptcore import losses
from gptcore.losses import cross_entropy


def drawn(n: int, width: int, n_tokens: int, scale: float = 1.0):
    generator = torch.Generator().manual_seed(0)
    x = (scale * torch.randn(n, width, generator=generator)).requires_grad_()
    table = torch.randn(n_tokens, width, generator=generator).requires_grad_()
    return x, table, torch.randint(0, n_tokens, (n,), generator=generator)


@pytest.mark.parametrize("n_rows", [1, 3, 7, 100])
@pytest.mark.parametrize("scale", [0.1, 5.0])
def test_value_and_gradients_are_torchs(monkeypatch, n_rows, scale):
    monkeypatch.setattr(losses, "NUMBERS_AT_ONCE", 40 * n_rows)
    x, table, targets = drawn(17, 8, 40, scale)
    ours = cross_entropy(x, table, targets)
    theirs = F.cross_entropy(x @ table.T, targets)
    torch.testing.assert_close(ours, theirs)
    mine = torch.autograd.grad(3 * ours, (x, table))
    for a, b in zip(mine, torch.autograd.grad(3 * theirs, (x, table)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_in_bf16_the_loss_is_that_of_the_rounded_logits():
    x, table, targets = drawn(50, 16, 300)
    narrow = x.detach().bfloat16()
    logits = (narrow @ table.detach().bfloat16().T).float()
    torch.testing.assert_close(cross_entropy(narrow, table, targets), F.cross_entropy(logits, targets))


def test_a_hopeless_score_gives_a_large_loss_and_no_infinity():
    x, table = torch.tensor([[1000.0]]), torch.tensor([[1.0], [-1.0]])
    assert cross_entropy(x, table, torch.tensor([1])).item() == 2000.0


def test_equal_scores_cost_the_log_of_the_vocabulary():
    x, table, targets = drawn(5, 4, 50_257)
    assert cross_entropy(0 * x, table, targets).item() == pytest.approx(math.log(50_257), rel=1e-6)


def test_the_models_loss_is_the_cross_entropy_of_its_logits(lively, random_ids):
    model = lively()
    ids, targets = random_ids(2, 7), random_ids(2, 7, seed=1)
    by_hand = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    torch.testing.assert_close(model.loss(ids, targets), by_hand)
