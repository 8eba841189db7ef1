"""Derivatives written by hand: against numerical ones in float64, and the fast path against the model's own loss."""

from dataclasses import fields

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F

from gptcore.attention import allowed_pairs
from gptcore.config import FEEDFORWARDS, NORM_POSITIONS, NORMS, POSITIONS, LayerKind, ModelConfig
from gptcore.losses import cross_entropy
from gptcore.model import GPT
from gptcore.positions import rope_table
from gptcore.training import fused_functions
from gptcore.training.fast_loss import training_loss
from gptcore.training.fused_functions import Pattern, attend, embed_tied, linear, product, rms_norm, swiglu

SHAPE = ModelConfig(vocab_size=19, context_length=11, d_model=16, n_layers=2, n_heads=4, d_ff=12)
# One change or a few for each field of a config that the loss depends on.
CHANGES = [
    *({"norm": name} for name in NORMS),
    *({"ffn": name} for name in FEEDFORWARDS),
    *({"position": name} for name in POSITIONS),
    *({"norm_position": name, "residual": name != "pre"} for name in NORM_POSITIONS),
    *({"bias": name} for name in ("qkv", "all")),
    {"n_kv_heads": 2, "head_dim": 6, "score_scale": 0.3, "norm_eps": 0.1},
    {"n_kv_heads": 1, "window": 3, "window_pattern": "wf", "window_rope_theta": 50.0},
    {"rope_theta": 30.0, "rope_scaling": {"kind": "linear", "factor": 2.0}, "rotary_fraction": 0.5},
    {"rope_scaling": {"kind": "yarn", "factor": 2.0, "original_context_length": 8}, "rope_pattern": "rn"},
    {"qk_norm": True, "qk_norm_width": "all", "n_kv_heads": 2},
    {"causal": False, "dropout": 0.2},
    {"tie_embeddings": False, "embedding_scale": 4.0, "logit_cap": 2.0},
    {"score_cap": 0.5, "tie_embeddings": False},
]
SIZES = {"vocab_size", "context_length", "d_model", "n_layers", "n_heads", "d_ff"}


@pytest.fixture(autouse=True)
def several_blocks(monkeypatch):
    monkeypatch.setattr(fused_functions, "QUERIES_AT_ONCE", range(3, 6))


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def lively_model(changes: dict) -> GPT:
    model = GPT(SHAPE.replace(**changes)).train()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.2 * torch.randn(weight.shape, generator=generator)
    return model


def test_the_changes_name_every_field():
    named = {name for changes in CHANGES for name in changes}
    assert named == {field.name for field in fields(ModelConfig)} - SIZES


def test_a_product_is_torchs_whatever_way_its_matrices_lie():
    a, b = drawn(6, 5).detach().float(), drawn(5, 7, seed=1).detach().float()
    for left in (a, a.T.contiguous().T):
        for right in (b, b.T.contiguous().T):
            torch.testing.assert_close(product(left, right), a @ b)


def test_linear_rms_norm_and_swiglu_have_the_derivatives_they_are_given():
    assert gradcheck(linear, (drawn(2, 3, 5), drawn(4, 5, seed=1)))
    assert gradcheck(lambda x, w: rms_norm(x, w, 0.1, torch.float64), (drawn(2, 3, 5), drawn(5, seed=1)))
    assert gradcheck(swiglu, (drawn(2, 3, 8),))


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("causal", [True, False])
def test_attention_has_the_derivative_it_is_given(causal, window):
    config = SHAPE.replace(n_heads=2, n_kv_heads=1, d_model=8, causal=causal, window=window)
    allowed = allowed_pairs(7, 7, causal=causal, window=window)
    angles = tuple(table.double() for table in rope_table(4, 7, 3.0))
    pattern = Pattern.of(config, LayerKind(window=window, rotates=True), angles, allowed, torch.float64)
    assert gradcheck(lambda qkv: attend(qkv, pattern), (drawn(2, 7, 16),))


def test_a_tied_table_has_the_gradient_of_both_its_uses():
    ids, targets = torch.tensor([[1, 4, 1]]), torch.tensor([2, 1, 0])

    def loss(table):
        x, again = embed_tied(table, ids)
        return cross_entropy(x.sin().flatten(0, 1), again, targets)

    table = drawn(6, 4)
    (ours,) = torch.autograd.grad(loss(table), table)
    by_torch = F.cross_entropy(F.embedding(ids, table).sin().flatten(0, 1) @ table.T, targets)
    torch.testing.assert_close(ours, *torch.autograd.grad(by_torch, table))


@pytest.mark.parametrize("changes", CHANGES, ids=str)
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.06)])
def test_the_fast_path_has_the_models_loss_and_gradients(changes, precision, tolerance, random_ids):
    model = lively_model(changes)
    ids, targets = (random_ids(2, 11, seed=seed, vocab_size=19) for seed in (0, 1))
    found = []
    for path in ("explicit", "fast"):
        torch.manual_seed(0)  # of dropout
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = training_loss(model, ids, targets, path=path)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        found.append((loss, torch.cat([gradient.flatten() for gradient in gradients])))
    (theirs, their_gradient), (ours, our_gradient) = found
    torch.testing.assert_close(ours, theirs, atol=0, rtol=tolerance / 10)
    assert (our_gradient - their_gradient).norm() <= tolerance * their_gradient.norm()
