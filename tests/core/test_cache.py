"""The cache: the same logits whole, in chunks and token by token; its room, and its bytes."""

import pytest
import torch

from gptcore.account import cache_bytes
from gptcore.cache import CacheFull, KVCache
from gptcore.config import ModelConfig
from gptcore.positions import POSITIONS

VARIANTS = [{"position": name} for name in POSITIONS] + [
    {"n_kv_heads": 2},
    {"n_kv_heads": 1},
    {"window": 5},
    {"window": 1},
    {"window": 5, "n_kv_heads": 2, "qk_norm": True, "bias": "all"},
    {"rope_scaling": {"kind": "llama3", "factor": 8.0, "original_context_length": 16}},
    {"head_dim": 6, "norm_position": "post"},
    {"window": 5, "window_pattern": "wf", "window_rope_theta": 100.0, "score_cap": 2.0, "logit_cap": 4.0},
    {"rope_pattern": "rn", "rotary_fraction": 0.5, "qk_norm": True, "qk_norm_width": "all", "n_kv_heads": 2},
]


def through_cache(model, ids: torch.Tensor, chunks: list[int], **options) -> torch.Tensor:
    """Run ids (B, T) through the model in chunks of these lengths; return all logits (B, T, V)."""
    cache = KVCache(model.config, ids.shape[0])
    parts = [model(part, cache, **options) for part in ids.split(chunks, dim=1)]
    assert cache.length == ids.shape[1]
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@pytest.mark.parametrize("path", ["fused", "explicit"])
@torch.no_grad()
def test_logits_are_those_without_a_cache(lively, random_ids, changes, path):
    model = lively(**changes)
    ids = random_ids(3, 24)  # the whole context
    expected = model(ids, path=path)
    assert expected.std() > 0.5
    for chunks in ([24], [1] * 24, [10, 14], [5, 1, 1, 7, 1, 9], [23, 1]):
        seen = through_cache(model, ids, chunks, path=path)
        torch.testing.assert_close(seen, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_smaller_cache_and_leftovers_of_another_text_change_nothing(lively, random_ids):
    model, ids = lively(n_kv_heads=2), random_ids(1, 10)
    cache = KVCache(model.config, capacity=10)
    model(random_ids(1, 10, seed=5), cache)
    cache.length = 0  # what lies beyond the length is never read
    seen = torch.cat([model(ids[:, :4], cache), model(ids[:, 4:], cache)], dim=1)
    torch.testing.assert_close(seen, model(ids), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_full_cache_refuses_in_one_sentence_and_stays_as_it_was(lively, random_ids):
    model, ids = lively(), random_ids(1, 10)
    cache = KVCache(model.config, capacity=8)
    model(ids[:, :6], cache)
    keys = cache.keys[:, :, :, :6].clone()
    with pytest.raises(CacheFull, match=r"6 cached and 3 new tokens exceed the cache's capacity of 8"):
        model(ids[:, 6:9], cache)
    assert cache.length == 6
    assert torch.equal(cache.keys[:, :, :, :6], keys)
    torch.testing.assert_close(model(ids[:, 6:8], cache), model(ids[:, :8])[:, 6:], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_context_is_the_limit_whatever_is_asked_for(lively, random_ids):
    model = lively()
    assert KVCache(model.config, capacity=1000).capacity == 24
    cache = KVCache(model.config)
    model(random_ids(1, 24), cache)
    with pytest.raises(ValueError, match=r"25 tokens .* context_length=24"):
        model(random_ids(1, 1), cache)
    with pytest.raises(ValueError, match=r"25 tokens .* context_length=24"):
        model(random_ids(1, 25))


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
@torch.no_grad()
def test_bytes_are_counted(small, lively, random_ids, dtype, size):
    config = small(n_kv_heads=2)
    cache = KVCache(config, 3, dtype=dtype)
    values = 2 * config.n_layers * 3 * 2 * config.head_dim * 24
    assert cache.n_bytes == values * size == cache_bytes(config, 24, 3, size)
    assert cache.n_bytes_used == 0
    cache = KVCache(config)
    lively(n_kv_heads=2)(random_ids(1, 7), cache)
    assert cache.n_bytes_used == cache_bytes(config, 7)


def test_published_cache_sizes():
    gpt2 = ModelConfig(vocab_size=50_257, context_length=1024, d_model=768, n_layers=12, n_heads=12)
    assert cache_bytes(gpt2, 1000, bytes_per_value=1) == 18_432_000
    assert cache_bytes(gpt2, 1000) == 73_728_000
    assert cache_bytes(gpt2, 1000, bytes_per_value=2) == 36_864_000
    llama = ModelConfig(
        vocab_size=32_000,
        context_length=4096,
        d_model=8192,
        n_layers=80,
        n_heads=64,
        n_kv_heads=8,
        d_ff=28_672,
    )
    assert cache_bytes(llama, 4096, bytes_per_value=2) == pytest.approx(1.34e9, rel=0.005)
    assert cache_bytes(llama.replace(n_kv_heads=64), 4096, bytes_per_value=2) == pytest.approx(
        10.7e9, rel=0.005
    )


@torch.no_grad()
def test_keys_are_kept_after_their_rotation(lively, random_ids):
    from gptcore.tracing import trace

    model, ids = lively(), random_ids(1, 6)
    cache = KVCache(model.config)
    seen = trace(model, ids, cache)
    torch.testing.assert_close(cache.keys[1, :, :, :6], seen["layers.1.attention.k_rotated"])
    torch.testing.assert_close(cache.values[1, :, :, :6], seen["layers.1.attention.v"])


@torch.no_grad()
def test_a_cache_set_back_goes_on_as_if_the_rest_had_never_been(lively, random_ids):
    model, ids = lively(n_kv_heads=2), random_ids(1, 12)
    cache = KVCache(model.config)
    model(torch.cat((ids[:, :5], random_ids(1, 6, seed=1)), dim=1), cache)
    cache.keep(5)
    torch.testing.assert_close(model(ids[:, 5:], cache), model(ids)[:, 5:])
    for length in (-1, 13):
        with pytest.raises(ValueError, match=f"{length} must be from 0 to the 12"):
            cache.keep(length)


@torch.no_grad()
def test_rows_of_a_cache_go_on_in_any_order(lively, random_ids):
    model, ids = lively(n_kv_heads=2), random_ids(3, 9)
    cache = KVCache(model.config, 3)
    model(ids[:, :6], cache)
    rows = torch.tensor([2, 0, 2, 1])
    cache.take(rows)
    torch.testing.assert_close(model(ids[rows, 6:], cache), model(ids[rows])[:, 6:])
