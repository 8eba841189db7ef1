"""Attention: by hand, against torch's kernel, the two paths against each other, and what masks allow."""

import math

import pytest
import torch
from torch.nn import functional as F

from gptcore.attention import allowed_pairs, attention_weights, explicit_attention, fused_attention

Q = torch.tensor([[0.8, 0.1], [-0.2, 0.7], [0.5, -0.4]])
K = torch.tensor([[0.6, -0.3], [0.1, 0.5], [-0.4, 0.8]])
V = torch.tensor([[0.4, 0.9], [-0.3, 0.2], [0.7, -0.1]])


def drawn(n_heads: int, n_kv_heads: int, n_queries: int, n_keys: int, head_dim: int = 8, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(2, n_heads, n_queries, head_dim, generator=generator)
    k, v = (torch.randn(2, n_kv_heads, n_keys, head_dim, generator=generator) for _ in range(2))
    return q, k, v


def test_worked_numbers():
    allowed = allowed_pairs(3, 3, causal=True, window=None)
    weights = attention_weights(Q, K, 1 / math.sqrt(2), allowed)
    expected = torch.tensor([[1, 0, 0], [0.3854, 0.6146, 0], [0.4581, 0.3062, 0.2357]])
    torch.testing.assert_close(weights, expected, atol=5e-5, rtol=0)
    mixed = explicit_attention(Q[None, None], K[None, None], V[None, None], 1 / math.sqrt(2), allowed)
    torch.testing.assert_close(mixed[0, 0, 2], torch.tensor([0.2564, 0.4500]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("n_kv_heads", [6, 3, 2, 1])
@pytest.mark.parametrize("window", [None, 1, 3, 100])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("n_queries", "n_keys"), [(7, 7), (3, 7), (1, 7), (1, 1)])
def test_the_two_paths_agree(n_kv_heads, window, causal, n_queries, n_keys):
    q, k, v = drawn(6, n_kv_heads, n_queries, n_keys)
    allowed = allowed_pairs(n_queries, n_keys, causal=causal, window=window)
    slow = explicit_attention(q, k, v, 0.3, allowed)
    torch.testing.assert_close(fused_attention(q, k, v, 0.3, allowed), slow, atol=1e-5, rtol=0)
    if causal and window is None and n_queries == n_keys > 1:
        torch.testing.assert_close(
            fused_attention(q, k, v, 0.3, allowed, triangle=True), slow, atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
def test_the_explicit_path_is_torchs_with_each_key_head_repeated(n_kv_heads):
    q, k, v = drawn(4, n_kv_heads, 9, 9)
    k_wide, v_wide = (x.repeat_interleave(4 // n_kv_heads, dim=1) for x in (k, v))
    theirs = F.scaled_dot_product_attention(q, k_wide, v_wide, is_causal=True)
    allowed = allowed_pairs(9, 9, causal=True, window=None)
    torch.testing.assert_close(explicit_attention(q, k, v, 8**-0.5, allowed), theirs, atol=1e-5, rtol=0)


def test_a_query_head_listens_to_the_key_head_of_its_group():
    q, k, v = drawn(4, 2, 5, 5)
    before = explicit_attention(q, k, v, 1.0)
    v[:, 1] += 1.0
    moved = (explicit_attention(q, k, v, 1.0) - before).abs().amax(dim=(0, 2, 3))
    assert moved.tolist() == pytest.approx([0, 0, 1, 1], abs=1e-5)


@pytest.mark.parametrize("window", [None, 1, 2, 5])
@pytest.mark.parametrize(("n_queries", "n_keys"), [(6, 6), (2, 6), (1, 6)])
def test_the_mask_allows_what_the_rule_says(window, n_queries, n_keys):
    allowed = allowed_pairs(n_queries, n_keys, causal=True, window=window)
    if allowed is None:
        allowed = torch.ones(n_queries, n_keys, dtype=torch.bool)
    for row in range(n_queries):
        position = n_keys - n_queries + row
        for key in range(n_keys):
            assert allowed[row, key] == (key <= position and (window is None or position - key < window))


@pytest.mark.parametrize("window", [None, 3])
def test_rows_sum_to_one_and_give_nothing_to_the_forbidden(window):
    q, k, _ = drawn(2, 2, 6, 8)
    allowed = allowed_pairs(6, 8, causal=True, window=window)
    weights = attention_weights(50 * q, 50 * k, 1.0, allowed)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 6))
    assert (weights[:, :, ~allowed] == 0).all()
    assert (weights >= 0).all()


def test_softmax_accumulates_in_float32():
    q = torch.zeros(1, 1, 1, 4, dtype=torch.bfloat16)
    k = torch.zeros(1, 1, 3000, 4, dtype=torch.bfloat16)
    weights = attention_weights(q, k, 1.0)
    assert weights.dtype == torch.bfloat16
    assert weights.float().sum().item() == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(
    "changes", [{}, {"n_kv_heads": 2}, {"n_kv_heads": 1, "window": 4}, {"causal": False}], ids=str
)
@pytest.mark.parametrize("training", [True, False])
def test_the_whole_model_is_the_same_on_either_path(lively, random_ids, changes, training):
    model = lively(**changes).train(training)
    ids = random_ids(2, 11)
    fused, explicit = model(ids), model(ids, path="explicit")
    torch.testing.assert_close(fused, explicit, atol=1e-5, rtol=1e-5)
    targets = random_ids(2, 11, seed=1)
    gradients = [
        torch.autograd.grad(model.loss(ids, targets, path=path), list(model.parameters()))
        for path in ("fused", "explicit")
    ]
    for a, b in zip(*gradients):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_the_score_scale_is_one_over_the_root_of_the_head_width_unless_given(lively, random_ids):
    ids = random_ids(1, 9)
    usual, unscaled = lively(), lively(score_scale=1.0)
    assert torch.equal(usual(ids), lively(score_scale=8**-0.5)(ids))
    assert not torch.allclose(usual(ids), unscaled(ids), atol=1e-3)


@pytest.mark.parametrize("path", ["fused", "explicit"])
def test_dropout_acts_on_attention_in_training_only(lively, random_ids, path):
    model = lively(dropout=0.5)
    ids = random_ids(1, 9)
    assert torch.equal(model(ids, path=path), model(ids, path=path))
    assert torch.equal(model(ids, path=path), lively(dropout=0.0)(ids, path=path))
    attention = model.layers[0].attention.train()
    x = torch.randn(1, 9, 32, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(attention(x, path=path), attention(x, path=path))
