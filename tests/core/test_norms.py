"""Norms: against torch's own with random gains, their laws, and the worked numbers."""

import pytest
import torch
from torch.nn import functional as F

from gptcore.norms import NORMS, LayerNorm, RMSNorm


def randomised(norm: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    for weight in norm.parameters():
        weight.data.normal_(1.0, 0.5, generator=generator)
    return norm


@pytest.fixture
def x():
    return 3 * torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(1)) + 1


def test_worked_numbers():
    x = torch.tensor([3.2, -1.5, 0.8, -4.1])
    expected = torch.tensor([1.1696, -0.5483, 0.2924, -1.4986])
    torch.testing.assert_close(RMSNorm(4)(x), expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("eps", [1e-5, 1e-6, 1e-1])
def test_rms_norm_is_torchs(x, eps):
    norm = randomised(RMSNorm(24, eps))
    torch.testing.assert_close(norm(x), F.rms_norm(x, (24,), norm.weight, eps))


@pytest.mark.parametrize("eps", [1e-5, 1e-1])
@pytest.mark.parametrize("bias", [False, True])
def test_layer_norm_is_subtracting_dividing_scaling_and_shifting(x, eps, bias):
    norm = randomised(LayerNorm(24, eps, bias))
    centred = x - x.mean(-1, keepdim=True)
    by_hand = norm.weight * centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    torch.testing.assert_close(norm(x), by_hand + norm.bias if bias else by_hand)
    torch.testing.assert_close(norm(x), F.layer_norm(x, (24,), norm.weight, norm.bias, eps))


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_norm_keeps_shape_and_dtype_and_stays_finite_on_large_input(x, name, dtype):
    norm = NORMS[name](24, 1e-5, bias=True).to(dtype)
    for scale in (1e-30, 1.0, 1e15):
        out = norm((x * scale).to(dtype))
        assert out.shape == x.shape
        assert out.dtype == dtype
        assert out.isfinite().all()


@pytest.mark.parametrize("name", NORMS)
def test_any_norm_sends_a_gradient_to_every_weight_and_to_its_input(x, name):
    norm = randomised(NORMS[name](24, 1e-5, bias=True))
    x.requires_grad_()
    (norm(x) * torch.randn(24, generator=torch.Generator().manual_seed(2))).sum().backward()
    assert all(weight.grad.abs().min() > 0 for weight in norm.parameters())
    assert x.grad.abs().max() > 0


def test_a_norm_forgets_the_size_of_its_input(x):
    for norm in (RMSNorm(24, 1e-12), LayerNorm(24, 1e-12)):
        torch.testing.assert_close(norm(7 * x), norm(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_squares_are_taken_in_float32(dtype):
    x = torch.full((1, 8), 300.0, dtype=dtype)  # 300² is more than a float16 can hold
    torch.testing.assert_close(RMSNorm(8).to(dtype)(x), torch.ones(1, 8, dtype=dtype))
    small = torch.full((1, 8), 1e-4, dtype=dtype)  # and 1e-4² less
    expected = F.rms_norm(small.float(), (8,), eps=1e-9).to(dtype)
    torch.testing.assert_close(RMSNorm(8, 1e-9).to(dtype)(small), expected)
