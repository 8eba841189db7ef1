"""The worked example of the block against plain Python."""

import math

import pytest
import torch

from gptcore.lessons.by_hand import activation_curve, both_norms, feedforward_half

X = [3.2, -1.5, 0.8, -4.1]


def test_rmsnorm_of_the_known_numbers():
    assert both_norms(X)["RMSNorm"] == pytest.approx([1.1696, -0.5483, 0.2924, -1.4986], abs=1e-4)


def test_rmsnorm_forgets_the_scale_and_layernorm_the_shift_too():
    plain, scaled, shifted = both_norms(X), both_norms(X, scale=7.0), both_norms(X, shift=5.0)
    for name in plain:
        assert scaled[name] == pytest.approx(plain[name], abs=1e-4)
    assert shifted["LayerNorm"] == pytest.approx(plain["LayerNorm"], abs=1e-4)
    assert abs(shifted["RMSNorm"][0] - plain["RMSNorm"][0]) > 0.1


def test_every_step_of_the_half_block_is_what_plain_python_computes():
    draw = torch.Generator().manual_seed(1)
    gate, up = (torch.randn(4, 2, generator=draw) for _ in range(2))
    down, gain = torch.randn(2, 4, generator=draw), torch.randn(4, generator=draw)
    steps = feedforward_half(torch.tensor(X), gain, gate, up, down)
    rms = math.sqrt(sum(value * value for value in X) / 4 + 1e-5)
    h = [g * value / rms for g, value in zip(gain.tolist(), X)]

    def through(vector, matrix):
        return [sum(v * row[j] for v, row in zip(vector, matrix)) for j in range(len(matrix[0]))]

    z, u = through(h, gate.tolist()), through(h, up.tolist())
    hidden = [a / (1 + math.exp(-a)) * b for a, b in zip(z, u)]
    output = through(hidden, down.tolist())
    total = [a + b for a, b in zip(X, output)]
    assert steps.rms == pytest.approx(rms)
    for found, wanted in (
        (steps.normed, h), (steps.gate_logits, z), (steps.up, u), (steps.hidden, hidden),
        (steps.output, output), (steps.total, total),
    ):  # fmt: skip
        assert found.tolist() == pytest.approx(wanted, abs=1e-4)
    share = sum(a * b for a, b in zip(output, total)) / sum(value * value for value in total)
    assert steps.fraction == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("name", ("SiLU", "GELU", "ReLU"))
def test_slopes_are_differences(name):
    step = 1e-5
    for z in (-2.0, -0.7, 0.4, 3.0):
        low, high = activation_curve(name, (z - step, z + step)).values
        assert activation_curve(name, (z,)).slopes[0] == pytest.approx((high - low) / (2 * step), abs=1e-4)
