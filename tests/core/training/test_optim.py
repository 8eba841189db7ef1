"""The optimizer: which weights decay, and the learning rate at every step."""

import math
import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from gptcore.config import TrainConfig
from gptcore.corpora.windows import split_windows
from gptcore.initialization import Linear
from gptcore.training.optim import (
    LONGEST_STAGE,
    AdamW,
    clip_gradients,
    learning_rate,
    make_optimizers,
    orthogonalize,
    parameter_groups,
    warmup_length,
    window_cuts,
)

FACTS = TrainConfig(learning_rate=3e-4, min_learning_rate=1e-5, warmup_steps=2000)


@pytest.mark.parametrize(("step", "rate"), [(25_000, 2.62e-4), (50_000, 1.60e-4), (75_000, 5.4e-5)])
def test_worked_numbers(step, rate):
    assert learning_rate(step, FACTS, 100_000) == pytest.approx(rate, rel=0.005)


def test_warm_up_starts_above_zero_and_rises_by_equal_steps():
    rates = [learning_rate(step, FACTS, 100_000) for step in range(2000)]
    assert rates[0] == pytest.approx(3e-4 / 2000)
    assert rates[-1] == pytest.approx(3e-4)
    rises = [b - a for a, b in pairwise(rates)]
    assert max(rises) == pytest.approx(min(rises))


def test_the_rate_is_highest_after_warm_up_and_never_rises_again():
    rates = [learning_rate(step, FACTS, 5000) for step in range(5000)]
    peak = warmup_length(FACTS, 5000)
    assert max(rates) == pytest.approx(3e-4)
    assert all(a >= b for a, b in pairwise(rates[peak:]))
    assert rates[-1] == pytest.approx(1e-5, rel=0.001)
    assert min(rates) > 0


def test_the_cosine_is_torchs():
    config = FACTS.replace(warmup_steps=0)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=3e-4)
    schedule = CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-5)
    for step in range(50):
        assert learning_rate(step, config, 50) == pytest.approx(schedule.get_last_lr()[0], rel=1e-6)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("n_steps", [1, 2, 9, 10, 25])
def test_a_short_run_warms_up_for_a_tenth_at_most(n_steps):
    assert warmup_length(FACTS, n_steps) == n_steps // 10
    rates = [learning_rate(step, FACTS, n_steps) for step in range(n_steps)]
    assert all(0 < rate <= 3e-4 for rate in rates)
    assert max(rates) == pytest.approx(3e-4)


def test_matrices_decay_and_gains_and_biases_do_not(lively):
    model = lively(norm="layernorm", bias="all", position="learned", qk_norm=True, tie_embeddings=False)
    names = {id(weight): name for name, weight in model.named_parameters()}
    decaying, resting = parameter_groups(model, 0.1)
    assert (decaying["weight_decay"], resting["weight_decay"]) == (0.1, 0.0)
    assert all("norm" in names[id(w)] or names[id(w)].endswith("bias") for w in resting["params"])
    assert not any("norm" in names[id(w)] or names[id(w)].endswith("bias") for w in decaying["params"])
    grouped = [id(weight) for weight in decaying["params"] + resting["params"]]
    assert sorted(grouped) == sorted(names)


def test_a_tied_table_is_moved_once(lively):
    decaying, _ = parameter_groups(lively(), 0.1)
    assert len({id(w) for w in decaying["params"]}) == len(decaying["params"])


def test_decay_pulls_matrices_towards_zero_and_leaves_gains(lively):
    model = lively()
    config = TrainConfig(learning_rate=0.1, weight_decay=0.5)
    (optimizer,) = make_optimizers(model, config)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for name, weight in model.named_parameters():
        factor = 1.0 if "norm" in name else 1 - 0.1 * 0.5
        torch.testing.assert_close(weight.detach(), factor * before[name])


def test_one_step_is_adamw_by_hand():
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.7)
    config = TrainConfig(learning_rate=0.01, weight_decay=0.1, beta1=0.9, beta2=0.95)
    (optimizer,) = make_optimizers(layer, config)
    weight, first, second = 0.7, 0.0, 0.0
    for step, gradient in enumerate((0.3, -0.2, 0.5), start=1):
        layer.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
        first = 0.9 * first + 0.1 * gradient
        second = 0.95 * second + 0.05 * gradient**2
        move = (first / (1 - 0.9**step)) / (math.sqrt(second / (1 - 0.95**step)) + 1e-8)
        weight = weight * (1 - 0.01 * 0.1) - 0.01 * move
        assert layer.weight.item() == pytest.approx(weight, rel=1e-5)


def test_muon_moves_the_blocks_matrices_and_adamw_the_rest(lively):
    """Oracle: torch's Muon, given each matrix by itself, and its AdamW for the rest."""
    model, twin = lively(), lively()
    config = TrainConfig(learning_rate=0.01, optimizer="muon")
    for one in (model, twin):
        generator = torch.Generator().manual_seed(1)
        for weight in one.parameters():
            weight.grad = torch.randn(weight.shape, generator=generator)
    for optimizer in make_optimizers(model, config):
        optimizer.step()
    inner = [layer for layer in twin.layers.modules() if isinstance(layer, Linear)]
    for layer in inner:
        pieces = [torch.nn.Parameter(piece.clone()) for piece in layer.weight.detach().split(layer.parts)]
        for piece, gradient in zip(pieces, layer.weight.grad.split(layer.parts), strict=True):
            piece.grad = gradient
        torch.optim.Muon(pieces, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw").step()
        before, layer.weight.data = layer.weight.detach().clone(), torch.cat([p.detach() for p in pieces])
        layer.way = layer.weight.detach() - before
    named = dict(twin.named_parameters())
    gains = [w for w in named.values() if w.dim() < 2]
    outer = [w for w in named.values() if w.dim() == 2 and not any(w is layer.weight for layer in inner)]
    torch.optim.AdamW(outer, lr=0.01, betas=(0.9, 0.95), weight_decay=0.1).step()
    torch.optim.AdamW(gains, lr=0.01, betas=(0.9, 0.95), weight_decay=0.0).step()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        layer = next((layer for layer in inner if layer.weight is theirs), None)
        if layer is None:
            torch.testing.assert_close(ours, theirs, msg=name)
        else:  # both turn matrices in bf16, in another order
            assert (ours - theirs).norm() < 0.03 * layer.way.norm(), name


@pytest.mark.parametrize("shape", [(3, 24, 24), (2, 40, 16), (2, 16, 40)])
def test_orthogonalising_brings_singular_values_near_one_and_keeps_directions(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    turned = orthogonalize(matrices)
    values = torch.linalg.svdvals(turned)
    before = torch.linalg.svdvals(matrices)
    assert values.max() < 1.3 and (values > 0.6).float().mean() > 0.9
    assert (values.amax(1) / values.amin(1) < 0.7 * before.amax(1) / before.amin(1)).all()
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    nearest = u @ v  # the matrix with these directions and all singular values 1
    likeness = (turned * nearest).sum((1, 2)) / (turned.norm(dim=(1, 2)) * nearest.norm(dim=(1, 2)))
    assert likeness.min() > 0.95


def test_windows_grow_by_thirds_and_no_token_is_lost():
    config = TrainConfig(grow_windows=True)
    assert [window_cuts(step, config, 9) for step in range(9)] == [4, 4, 4, 2, 2, 2, 1, 1, 1]
    assert {window_cuts(step, TrainConfig(), 9) for step in range(9)} == {1}
    long = [window_cuts(step, config, 10_000) for step in range(10_000)]
    assert [long.count(n) for n in (4, 2, 1)] == [LONGEST_STAGE, LONGEST_STAGE, 10_000 - 2 * LONGEST_STAGE]
    batch = torch.arange(2 * 12).reshape(2, 12)
    assert split_windows(batch, 4).tolist() == [list(range(start, start + 3)) for start in range(0, 24, 3)]
    assert split_windows(batch[:, :10], 4).shape == (4, 5)


def test_gradients_are_shortened_as_torch_does_it_and_left_alone_where_short(lively, random_ids):
    ids, targets = random_ids(2, 8), random_ids(2, 8, seed=1)
    for longest in (0.01, 1e6):
        ours, theirs = lively(), lively()
        for model in (ours, theirs):
            model.loss(ids, targets).backward()
        norm = clip_gradients(ours, longest)
        torch.testing.assert_close(norm, torch.nn.utils.clip_grad_norm_(theirs.parameters(), longest))
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, other.grad)


def test_adamw_takes_the_steps_of_torchs_own():
    def trained(kind: type[torch.optim.AdamW]) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        weights = [torch.nn.Parameter(torch.randn(n, 4, generator=generator)) for n in (3, 5)]
        optimizer = kind(weights, lr=0.1, weight_decay=0.2, fused=True)
        for _ in range(5):
            for weight in weights:
                weight.grad = torch.randn(weight.shape, generator=generator)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return [weight.detach() for weight in weights]

    for ours, theirs in zip(trained(AdamW), trained(torch.optim.AdamW)):
        assert torch.equal(ours, theirs)


def test_an_optimizer_imports_no_compiler():
    code = """
import sys, torch
from gptcore.config import PRESETS
from gptcore.model import GPT
from gptcore.training.optim import make_optimizers
nano = PRESETS["nano"]
model = GPT(nano.model, seed=0)
ids = torch.zeros(1, 8, dtype=torch.int64)
for name in ("adamw", "muon"):
    optimizers = make_optimizers(model, nano.train.replace(optimizer=name))
    model.loss(ids, ids).backward()
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        optimizer.load_state_dict(optimizer.state_dict())
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
