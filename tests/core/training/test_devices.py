"""What a machine can do is found by trying, and what it cannot do is no reason to fail."""

import warnings

import pytest
import torch

from gptcore.training.devices import Compiled


@pytest.mark.long
def test_without_a_compiler_training_goes_on_and_says_so(lively, random_ids):
    from torch._inductor import config

    model = lively()
    ids, targets = random_ids(2, 7), random_ids(2, 7, seed=1)
    loss = Compiled(model.loss)
    broken = config.patch({"cpp.cxx": ("/nowhere/c++",), "force_disable_caches": True})
    with broken, pytest.warns(UserWarning, match="goes on without torch.compile"):
        first = loss(ids, targets, path="explicit")
    torch.testing.assert_close(first, model.loss(ids, targets, path="explicit"))
    first.backward()
    assert loss(ids, targets, path="explicit").item() == first.item()


@pytest.mark.long
def test_a_compiled_loss_is_the_models_own(lively, random_ids):
    model = lively()
    ids, targets = random_ids(2, 7), random_ids(2, 7, seed=1)
    plain = model.loss(ids, targets, path="explicit")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fast = Compiled(model.loss)(ids, targets, path="explicit")
    torch.testing.assert_close(fast, plain)
    weights = list(model.parameters())
    for a, b in zip(torch.autograd.grad(fast, weights), torch.autograd.grad(plain, weights), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)
