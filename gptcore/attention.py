"""Attention: each token's query is compared with the keys of earlier tokens, whose values are averaged.

There are two implementations, which a test compares to 1e-5. `explicit_attention` computes every step as a tensor;
`fused_attention` calls torch's kernel, which never writes the (T, S) weights to memory (Dao et al. 2022).

Multi-head, grouped-query and multi-query attention are the same code: K key/value heads serve H query heads,
H/K queries each (Ainslie et al. 2023). K = H is multi-head, K = 1 is multi-query.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptcore.cache import KVCache
from gptcore.config import ModelConfig
from gptcore.initialization import Linear
from gptcore.norms import AllHeadsNorm, RMSNorm, soft_cap
from gptcore.positions import apply_rope
from gptcore.tracing import Scope, record


def allowed_pairs(
    n_queries: int, n_keys: int, *, causal: bool, window: int | None, device=None
) -> Tensor | None:
    """Return which query may attend to which key, True where it may: (T, S), or None if all may.

    The queries are the last T of the S positions. A window of W keys counts the token itself.
    """
    if not causal or (n_queries == 1 and window is None):
        return None
    query = torch.arange(n_keys - n_queries, n_keys, device=device).unsqueeze(1)  # (T, 1)
    key = torch.arange(n_keys, device=device).unsqueeze(0)  # (1, S)
    allowed = key <= query
    if window is not None:
        allowed &= key > query - window
    return allowed


def attention_weights(
    q: Tensor,
    k: Tensor,
    scale: float,
    allowed: Tensor | None = None,
    trace: Scope = None,
    cap: float | None = None,
) -> Tensor:
    """Return the attention weights, rows that sum to 1: q (..., T, D), k (..., S, D) -> (..., T, S)."""
    # Scaling the queries costs T·D products, scaling the scores T·S.
    scores = record(trace, "scores", soft_cap((q * scale) @ k.transpose(-2, -1), cap))
    if allowed is not None:
        # Minus infinity before the softmax, so that masked keys get no weight; a zero written after it would
        # leave rows that sum to less than 1. Added rather than filled in: addition passes the scores' gradient
        # on unchanged, while filling costs another pass over all heads in each direction.
        mask = torch.zeros_like(allowed, dtype=scores.dtype).masked_fill(~allowed, -math.inf)  # (T, S)
        scores = record(trace, "masked_scores", scores + mask)
    # The kernel sums the exponentials in float32 in any precision, as if the scores had been converted first;
    # converting them here would only write them to memory twice.
    return record(trace, "weights", torch.softmax(scores, dim=-1, dtype=scores.dtype))


def explicit_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    allowed: Tensor | None = None,
    dropout: float = 0.0,
    trace: Scope = None,
    cap: float | None = None,
) -> Tensor:
    """Average values by attention weights, every step a tensor: q (B, H, T, D), k, v (B, K, S, D) -> (B, H, T, D)."""
    group = q.shape[1] // k.shape[1]
    if group > 1:  # each key/value head answers `group` query heads in a row
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)  # (B, H, S, D)
    weights = attention_weights(q, k, scale, allowed, trace, cap)  # (B, H, T, S)
    return F.dropout(weights, dropout, training=dropout > 0) @ v


def fused_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    allowed: Tensor | None = None,
    dropout: float = 0.0,
    *,
    triangle=False,
) -> Tensor:
    """Average the values by the attention weights in torch's fused kernel; shapes as in `explicit_attention`.

    `triangle` means that `allowed` is the plain causal triangle of T = S, which the kernel applies without a mask.
    Its `is_causal` aligns that triangle with the first key, so with a cache (T < S) it would be wrong.
    """
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=None if triangle else allowed,
        is_causal=triangle,
        dropout_p=dropout,
        scale=scale,
        enable_gqa=bool(q.shape[1] != k.shape[1]),
    )


class Attention(nn.Module):
    """One attention layer: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.config, self.layer = config, layer
        queries, keys = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
        has_bias = config.bias in ("qkv", "attention", "all")
        self.window = config.layer_kinds[layer].window
        self.head_counts = (config.n_heads, config.n_kv_heads, config.n_kv_heads)
        self.qkv_proj = Linear(config.d_model, queries, keys, keys, bias=has_bias)  # three products in one
        self.o_proj = Linear(queries, config.d_model, bias=config.bias in ("attention", "all"))
        if config.qk_norm:
            by_head = config.qk_norm_width == "head"
            norm = RMSNorm if by_head else AllHeadsNorm
            self.q_norm = norm(config.head_dim if by_head else queries, config.norm_eps)
            self.k_norm = norm(config.head_dim if by_head else keys, config.norm_eps)

    def forward(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor] | None = None,
        allowed: Tensor | None = None,
        cache: KVCache | None = None,
        trace: Scope = None,
        path: str = "fused",
    ) -> Tensor:
        head_dim, scale = self.config.head_dim, self.config.score_scale
        heads = self.qkv_proj(x).unflatten(-1, (-1, head_dim)).transpose(1, 2)  # (B, H + 2K, T, D)
        q, k, v = heads.split(self.head_counts, dim=1)  # (B, H, T, D), then twice (B, K, T, D)
        if self.config.qk_norm:
            q, k = record(trace, "q_projected", q), record(trace, "k_projected", k)
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = record(trace, "q", q), record(trace, "k", k), record(trace, "v", v)
        if angles is not None:
            rotated = apply_rope(torch.cat((q, k), dim=1), *angles)  # (B, H + K, T, D)
            q, k = rotated.split(self.head_counts[:2], dim=1)
            q, k = record(trace, "q_rotated", q), record(trace, "k_rotated", k)
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)  # (B, K, S, D)
        dropout = self.config.dropout if self.training else 0.0
        cap = self.config.score_cap
        if path == "explicit" or trace is not None or cap is not None:
            mixed = explicit_attention(q, k, v, scale, allowed, dropout, trace, cap)
        else:
            triangle = allowed is not None and self.window is None and q.shape[2] == k.shape[2]
            mixed = fused_attention(q, k, v, scale, allowed, dropout, triangle=triangle)
        mixed = record(trace, "mixed", mixed)  # (B, H, T, D)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))  # (B, T, H·D) -> (B, T, C)
