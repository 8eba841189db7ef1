"""The parts of a block with backward passes written by hand: fewer passes over memory than autograd records.

Each function computes what its namesake in the model computes. Autograd would keep every intermediate of the formula
and go over memory once for each operation, forward and backward. Written as one `torch.autograd.Function`, a part
keeps only what its derivative needs and writes gradients where they are read next. In the derivations `dy` stands
for the gradient of the loss with respect to y. All are differentiable once, in any float type.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from gptcore.config import LayerKind, ModelConfig
from gptcore.generation.packed_weights import can_pack

QUERIES_AT_ONCE = range(64, 257)  # rows of scores that stay in a core's cache, for short and for long windows


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return a @ b, (N, K) times (K, M): in float32 on a CPU by oneDNN.

    torch multiplies float32 by MKL, which leaves half of an AMD processor's speed unused: 95 against 220 GFLOP/s a
    thread. In bf16 torch takes oneDNN by itself.
    """
    if a.dtype == torch.float32 and a.device.type == "cpu" and can_pack(torch.float32):
        return torch.ops.mkldnn._linear_pointwise(a, b.T, None, "none", [], "")
    return a @ b


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x.flatten(0, -2), weight.T).unflatten(0, x.shape[:-1])

    @staticmethod
    def backward(ctx, dy: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        dy_rows = dy.flatten(0, -2)
        return product(dy_rows, weight).view_as(x), product(dy_rows.T, x.flatten(0, -2))


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """Return x Wᵀ by `product`: (..., in), (out, in) -> (..., out). dx = dy W and dW = dyᵀ x."""
    return _Linear.apply(x, weight)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        size = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse_rms = torch.rsqrt(size.square() / x.shape[-1] + eps)
        ctx.save_for_backward(x, weight, inverse_rms)
        return (wide * inverse_rms).mul_(weight).to(dtype)

    @staticmethod
    def backward(ctx, dy: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight, inverse_rms = ctx.saved_tensors
        width = x.shape[-1]
        x_rows, dy_rows = (a.reshape(-1, width).to(inverse_rms.dtype) for a in (x, dy))
        inverse_rms = inverse_rms.reshape(-1, 1)
        product = dy_rows * x_rows
        d_weight = (product.T @ inverse_rms).squeeze(1)
        along_x = (product @ weight.unsqueeze(1)).mul_(inverse_rms**3 / width)  # (N, 1)
        dx = (dy_rows * weight).mul_(inverse_rms).addcmul_(x_rows, along_x, value=-1)
        return dx.view_as(x).to(x.dtype), d_weight, None, None


def rms_norm(x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """Return x / rms(x) * weight, written once in `dtype`: (..., C) -> (..., C).

    With r = 1 / rms(x) = (mean(x²) + eps)^(-1/2), y_i = w_i x_i r and dr/dx_i = -r³ x_i / C. So

        dw_i = Σ_rows dy_i x_i r
        dx_i = dy_i w_i r - x_i r³ / C · Σ_j dy_j w_j x_j

    Only x and one r a row are kept; both sums over the product dy·x are matrix products. r is found in float32.
    """
    return _RMSNorm.apply(x, weight, eps, dtype)


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate_up: Tensor) -> Tensor:
        gate_logits, up = gate_up.chunk(2, dim=-1)
        gate = torch.nn.functional.silu(gate_logits)
        ctx.save_for_backward(gate_up, gate)
        return gate * up

    @staticmethod
    def backward(ctx, dy: Tensor) -> Tensor:
        gate_up, gate = ctx.saved_tensors
        gate_logits, up = gate_up.chunk(2, dim=-1)
        d_gate_up = torch.empty_like(gate_up)
        d_gate_logits, d_up = d_gate_up.chunk(2, dim=-1)
        torch.mul(dy, gate, out=d_up)
        torch.ops.aten.silu_backward.grad_input(dy * up, gate_logits, grad_input=d_gate_logits)
        return d_gate_up


def swiglu(gate_up: Tensor) -> Tensor:
    """Return silu(g) * u of g and u side by side: (..., 2F) -> (..., F).

    du = dy · silu(g), and dg = dy · u · silu'(g) with silu'(g) = σ(g) (1 + g (1 - σ(g))), each written into its half
    of one gradient, where autograd would join two.
    """
    return _SwiGLU.apply(gate_up)


def _rotated(x: Tensor, cos: Tensor, signed_sin: Tensor) -> Tensor:
    return x.roll(x.shape[-1] // 2, -1).mul_(signed_sin).addcmul_(x, cos)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """What the attention layers of one kind have in common: their heads, rotation, and who may attend to what.

    `cos` and `signed_sin` (T, D) rotate queries and keys, sin negated in its first half; None where nothing rotates.
    `mask` (T, T) is added to the scores: 0 where a query may attend to a key and minus infinity elsewhere, or None.
    `causal` and `window` say the same, and with it which keys a run of queries can leave out.
    """

    head_counts: tuple[int, int, int]  # of queries, keys and values
    scale: float
    cos: Tensor | None
    signed_sin: Tensor | None
    mask: Tensor | None
    causal: bool
    window: int | None

    @classmethod
    def of(
        cls,
        config: ModelConfig,
        kind: LayerKind,
        angles: tuple[Tensor, Tensor] | None,
        allowed: Tensor | None,
        dtype: torch.dtype,
    ) -> Self:
        """Return the pattern of a config's layers of one kind, whose products run in `dtype`."""
        cos, signed_sin, mask = None, None, None
        if angles is not None:
            cos, sin = angles
            first, second = sin.chunk(2, dim=-1)
            signed_sin = torch.cat((-first, second), dim=-1)
        if allowed is not None:
            mask = torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed, -math.inf)
        return cls(
            head_counts=(config.n_heads, config.n_kv_heads, config.n_kv_heads),
            scale=config.score_scale,
            cos=cos,
            signed_sin=signed_sin,
            mask=mask,
            causal=config.causal,
            window=kind.window,
        )

    def blocks(self, n_tokens: int) -> list[tuple[slice, slice, Tensor | None]]:
        """Return slices of queries, of the keys that any of them may attend to, and the mask between the two."""
        n_rows = max(QUERIES_AT_ONCE[0], min(n_tokens // 2, QUERIES_AT_ONCE[-1]))
        blocks = []
        for start in range(0, n_tokens, n_rows):
            stop = min(start + n_rows, n_tokens)
            first = max(0, start - self.window + 1) if self.causal and self.window is not None else 0
            queries, keys = slice(start, stop), slice(first, stop if self.causal else n_tokens)
            blocks.append((queries, keys, None if self.mask is None else self.mask[queries, keys]))
        return blocks

    def rotated(self, x: Tensor) -> Tensor:
        """Rotate heads as `apply_rope` does: (B, heads, T, D) -> (B, heads, T, D), its heads side by side."""
        return x.contiguous() if self.cos is None else _rotated(x, self.cos, self.signed_sin)

    def rotated_back(self, dy: Tensor) -> Tensor:
        """Return the gradient of what was rotated, given that of the result; shapes as in `rotated`."""
        if self.cos is None:
            return dy
        return _rotated(dy, self.cos, self.signed_sin.roll(dy.shape[-1] // 2, -1))


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, qkv: Tensor, pattern: Pattern) -> Tensor:
        n_heads, n_keys, _ = pattern.head_counts
        batch, n_tokens, group = *qkv.shape[:2], n_heads // n_keys
        heads = qkv.unflatten(-1, (sum(pattern.head_counts), -1)).transpose(1, 2)  # (B, H + 2K, T, D)
        q_k, v = pattern.rotated(heads[:, :-n_keys]), heads[:, -n_keys:].contiguous()
        # The queries that one key head answers stand below each other: one product, and no key is repeated.
        q = q_k[:, :n_heads].reshape(batch * n_keys, group, n_tokens, -1)
        k, v = q_k[:, n_heads:].flatten(0, 1), v.flatten(0, 1)  # (B·K, T, D)
        mixed, weights = torch.empty_like(q), []
        for queries, keys, mask in pattern.blocks(n_tokens):
            block = q[:, :, queries].flatten(1, 2)  # (B·K, G·R, D)
            if mask is None:
                scores = torch.bmm(block, k[:, keys].mT).mul_(pattern.scale)
            else:
                mask = mask.repeat(group, 1) if group > 1 else mask
                scores = torch.baddbmm(mask, block, k[:, keys].mT, alpha=pattern.scale)
            weights.append(torch.softmax(scores, dim=-1, out=scores))
            mixed[:, :, queries] = torch.bmm(weights[-1], v[:, keys]).unflatten(1, (group, -1))
        ctx.pattern = pattern
        ctx.save_for_backward(q, k, v, *weights)
        return mixed.view(batch, n_heads, n_tokens, -1).transpose(1, 2).flatten(2)

    @staticmethod
    def backward(ctx, d_mixed: Tensor) -> tuple[Tensor, None]:
        q, k, v, *weights = ctx.saved_tensors
        (n_heads, n_keys, _), scale = ctx.pattern.head_counts, ctx.pattern.scale
        batch, n_tokens, head_dim = *d_mixed.shape[:2], k.shape[-1]
        d_mixed = d_mixed.unflatten(-1, (n_heads, -1)).transpose(1, 2).reshape(q.shape)
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (queries, keys, _), p in zip(ctx.pattern.blocks(n_tokens), weights):
            block, d_block = q[:, :, queries].flatten(1, 2), d_mixed[:, :, queries].flatten(1, 2)
            dv[:, keys].baddbmm_(p.mT, d_block)
            d_weights = torch.bmm(d_block, v[:, keys].mT)
            d_scores = torch._softmax_backward_data(d_weights, p, -1, p.dtype)
            dq[:, :, queries] = torch.bmm(d_scores, k[:, keys]).unflatten(1, (dq.shape[1], -1))
            dk[:, keys].baddbmm_(d_scores.mT, block, alpha=scale)
        dq, dk, dv = (part.view(batch, -1, n_tokens, head_dim) for part in (dq.mul_(scale), dk, dv))
        parts = ctx.pattern.rotated_back(dq), ctx.pattern.rotated_back(dk), dv
        d_qkv = dq.new_empty(batch, n_tokens, n_heads + 2 * n_keys, head_dim)
        for target, part in zip(d_qkv.split(ctx.pattern.head_counts, dim=2), parts):
            target.copy_(part.transpose(1, 2))
        return d_qkv.flatten(2), None


def attend(qkv: Tensor, pattern: Pattern) -> Tensor:
    """Return the mixed values of all heads: projected queries, keys and values (B, T, (H + 2K)·D) -> (B, T, H·D).

    Queries and keys are rotated where the pattern has angles. Then a few queries at a time are compared
    with those keys alone that one of them may attend to: of a causal triangle's upper half little is computed. A
    rotation is y = x · cos + roll(x) · s: roll exchanges the halves of a vector, s is sin, negated in its first half.
    roll is its own transpose, so

        dx = dy · cos + roll(dy · s) = dy · cos + roll(dy) · roll(s)

    which is the same function. For a row of scores a = scale · q kᵀ, p = softmax(a) and o = p v:

        dv = pᵀ do        dp = do vᵀ        da = p · (dp - Σ p · dp)
        dq = scale · da k        dk = scale · daᵀ q
    """
    return _Attend.apply(qkv, pattern)


class _EmbedTied(torch.autograd.Function):
    @staticmethod
    def forward(ctx, table: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(ids)
        return table[ids], table.view_as(table)

    @staticmethod
    def backward(ctx, dx: Tensor, d_table: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        rows = ids.flatten().unsqueeze(1).expand(-1, dx.shape[-1])
        return d_table.scatter_add_(0, rows, dx.flatten(0, 1)), None


def embed_tied(table: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the vectors of ids and the table again, for the output layer: (V, C), (B, T) -> (B, T, C), (V, C).

    The table's gradient is the output layer's, plus each vector's at the row of its id. It is added into the output
    layer's own gradient, which nobody else holds; autograd would fill a second table with zeros and add the two.
    """
    return _EmbedTied.apply(table, ids)
