"""One decode step, written out: one new token of each sequence, with few operations and nothing recorded.

A step of a small model is some two hundred tiny operations, and on a CPU Python takes as long to ask for one as the
processor takes to do it. So this asks for few: weights and views are looked up once for each model, keys and values
of all layers are sliced at once, a matrix product adds its own residual, and a small one's weights hold the gains of
the norm before it. `GPT.forward_hidden` is the readable version; a test holds both within 1e-5. The step is fast from
its first call, and takes sequences of unequal length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptcore.attention import Attention, explicit_attention
from gptcore.cache import KVCache
from gptcore.config import LayerKind, ModelConfig
from gptcore.feedforward import GELUMLP, GeGLU, ReLUMLP, SwiGLU
from gptcore.generation.packed_weights import SMALLEST, PackedLinear
from gptcore.generation.quantized import Int4Linear, Int8Linear, QuantizedEmbedding, QuantizedGPT
from gptcore.initialization import Embedding, Linear
from gptcore.model import GPT, Block, CappedLinear
from gptcore.norms import AllHeadsNorm, LayerNorm, NoNorm, RMSNorm
from gptcore.positions import LearnedPositions, NoPositions, RotaryPositions, SinusoidalPositions

Function = Callable[[Tensor], Tensor]

KNOWN_PARTS = {
    *(GPT, QuantizedGPT, nn.ModuleList, nn.Identity, Block, Attention, SwiGLU, GeGLU, GELUMLP, ReLUMLP),
    *(
        RMSNorm,
        AllHeadsNorm,
        LayerNorm,
        NoNorm,
        NoPositions,
        RotaryPositions,
        LearnedPositions,
        SinusoidalPositions,
    ),
    *(Linear, CappedLinear, PackedLinear, Int8Linear, Int4Linear, Embedding, QuantizedEmbedding),
}
KNOWN_FIELDS = {
    *("vocab_size", "context_length", "d_model", "n_layers", "n_heads", "n_kv_heads", "head_dim", "d_ff"),
    *(
        "norm",
        "norm_eps",
        "norm_position",
        "ffn",
        "position",
        "rope_theta",
        "rope_scaling",
        "bias",
        "qk_norm",
    ),
    *("window", "tie_embeddings", "dropout", "causal", "residual", "score_scale"),
    *("embedding_scale", "score_cap", "logit_cap", "qk_norm_width", "rotary_fraction"),
    *("window_pattern", "window_rope_theta", "rope_pattern"),
}


def knows(model: GPT) -> bool:
    """Return whether the step computes what this model does: no part, and no choice of its config, is new to it."""
    chosen = (field for field in fields(ModelConfig) if field.name not in KNOWN_FIELDS)
    return (
        all(getattr(model.config, field.name) == field.default for field in chosen)
        and all(type(part) in KNOWN_PARTS for part in model.modules())
        and not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
        and not model.training  # dropout, and weights that are about to change
    )


@dataclass(frozen=True, slots=True)
class Layer:
    """One block's parts as functions, looked up once.

    `qkv` and `feedforward_hidden` take the residual stream (B, C) and normalize it themselves. `add_attention` and
    `add_feedforward` take the stream and the sub-layer's last hidden values, and return the stream behind the
    sub-layer.
    """

    qkv: Function
    head_norms: tuple[Function, Function] | None
    add_attention: Callable[[Tensor, Tensor], Tensor]
    feedforward_hidden: Function
    add_feedforward: Callable[[Tensor, Tensor], Tensor]


class DecodeStep:
    """A model's decode step. It holds no state of a text: the cache is the caller's, so threads can share a step."""

    def __init__(self, model: GPT):
        self.config, self.positions, self.layer_kinds = model.config, model.positions, model.layer_kinds
        self.embedding, self.final_norm = model.embedding.forward, _norm(model.final_norm)
        self.output = model.output.forward
        self.layers = [_layer(block) for block in model.layers]
        # torch multiplies a single row of bf16 slowly: 12 heads, 250 keys in 127 µs, in float32 with both casts in 38.
        one_row = self.config.n_heads == self.config.n_kv_heads
        is_bf16 = model.dtype == torch.bfloat16 and model.device.type == "cpu"
        self.widens = one_row and is_bf16 and self.config.score_cap is None
        self.rotations = {kind: self._rotations(kind, model.dtype) for kind in set(self.layer_kinds)}

    def __call__(self, ids: Tensor, cache: KVCache, lengths: Tensor | None = None) -> Tensor:
        """Return the logits (B, V) of what follows ids (B,), one for each sequence, and extend the cache by them.

        `lengths` (B,) says how many positions of each row are filled, where rows differ; `cache.length` is then the
        longest. The caller has made sure that one more fits.
        """
        here = slice(cache.length, cache.length + 1) if lengths is None else lengths
        config, slots = self.config, _Slots(cache, lengths)
        n_queries, n_keys, head_dim = config.n_heads, config.n_kv_heads, config.head_dim
        separate = (-1, n_queries + 2 * n_keys, head_dim)
        grouped = (-1, n_keys, n_queries // n_keys, head_dim)
        x = self._embed(ids, here)  # (B, C)
        kinds = {
            kind: (tables and [table[here] for table in tables], *slots.seen(kind.window))
            for kind, tables in self.rotations.items()
        }
        for number, (layer, kind) in enumerate(zip(self.layers, self.layer_kinds)):
            rotation, keys, values, mask = kinds[kind]
            heads = layer.qkv(x).view(separate)  # (B, H + 2K, D)
            qk, v = heads.split_with_sizes((n_queries + n_keys, n_keys), 1)  # (B, H + K, D), (B, K, D)
            if layer.head_norms is not None:
                qk = _normalize(qk, layer.head_norms, n_queries)
            if rotation is not None:
                qk = rotate(qk, *rotation)
            q, k = qk.split_with_sizes((n_queries, n_keys), 1)  # (B, H, D), (B, K, D)
            slots.store(number, k, v)
            # The queries that share a key come in as if they were tokens of one sequence: (B, K, H/K, D).
            mixed = self._attend(q.reshape(grouped), keys[number], values[number], mask)
            x = layer.add_attention(x, mixed.flatten(1))  # (B, H·D) -> (B, C)
            x = layer.add_feedforward(x, layer.feedforward_hidden(x))
        cache.advance(1)
        return self.output(self.final_norm(x))

    def _embed(self, ids: Tensor, here: slice | Tensor) -> Tensor:
        x, positions = self.embedding(ids), self.positions
        if self.config.embedding_scale != 1:
            x = x * self.config.embedding_scale
        if isinstance(positions, LearnedPositions):
            return x + positions.table.weight[here]
        if isinstance(positions, SinusoidalPositions):
            return x + positions.table[here].to(x.dtype)
        return x

    def _rotations(self, kind: LayerKind, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
        """Return cosines and signed sines of all positions, each (context, 1, D); None where nothing rotates."""
        has_own = kind.window is not None and self.config.window_rope_theta is not None
        table = self.positions.windowed if has_own else self.positions
        if not (kind.rotates and isinstance(table, RotaryPositions)):
            return None
        first, second = table.sin.unsqueeze(1).chunk(2, dim=-1)
        return table.cos.unsqueeze(1).to(dtype), torch.cat((-first, second), dim=-1).to(dtype)

    def _attend(self, q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Average values by attention weights: q (B, K, H/K, D), keys and values (B, K, S, D) -> (B, K, H/K, D)."""
        scale, cap = self.config.score_scale, self.config.score_cap
        if self.widens:
            wide = F.scaled_dot_product_attention(q.float(), keys.float(), values.float(), mask, scale=scale)
            return wide.to(q.dtype)
        if cap is None:
            return F.scaled_dot_product_attention(q, keys, values, mask, scale=scale)
        return explicit_attention(q, keys, values, scale, mask, cap=cap)


class _Slots:
    """Where the new keys and values go, and those that the new queries attend to, of all layers.

    Rows of one length write to one position and attend to all before it; slices of the cache serve them. Rows of
    unequal length each have their own position, and a mask leaves out what lies behind it.
    """

    def __init__(self, cache: KVCache, lengths: Tensor | None):
        self.cache, self.lengths = cache, lengths
        if lengths is None:
            self.new_keys = cache.keys.select(3, cache.length).unbind(0)  # (B, K, D) for each layer
            self.new_values = cache.values.select(3, cache.length).unbind(0)
        else:
            self.rows = torch.arange(len(lengths), device=lengths.device)

    def seen(self, window: int | None) -> tuple[Sequence[Tensor], Sequence[Tensor], Tensor | None]:
        """Return each layer's keys and values (B, K, S, D) up to the new ones, and the mask for them."""
        n_seen, mask = self.cache.length + 1, None
        first = max(0, n_seen - (window or n_seen)) if self.lengths is None else 0
        if self.lengths is not None:
            position, last = torch.arange(n_seen, device=self.lengths.device), self.lengths.unsqueeze(1)
            mask = position <= last  # (B, S)
            if window is not None:
                mask &= position > last - window
            mask = mask[:, None, None]  # (B, 1, 1, S)
        keys, values = (
            tensor.narrow(3, first, n_seen - first).unbind(0)
            for tensor in (self.cache.keys, self.cache.values)
        )
        return keys, values, mask

    def store(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Write one layer's new keys and values, (B, K, D) each."""
        if self.lengths is None:
            self.new_keys[layer].copy_(keys)
            self.new_values[layer].copy_(values)
        else:
            self.cache.keys[layer].transpose(1, 2)[self.rows, self.lengths] = keys
            self.cache.values[layer].transpose(1, 2)[self.rows, self.lengths] = values


def rotate(x: Tensor, cos: Tensor, signed_sin: Tensor) -> Tensor:
    """Return what `positions.apply_rope` does, in three operations instead of six: (..., D) -> (..., D).

    A roll by half the width swaps the two members of each pair; the minus of the first is in the sines' signs.
    """
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), signed_sin)


def _normalize(qk: Tensor, norms: tuple[Function, Function], n_queries: int) -> Tensor:
    """Normalize each query and each key with the norm of its kind: (B, H + K, D), the same shape."""
    return torch.cat((norms[0](qk[:, :n_queries]), norms[1](qk[:, n_queries:])), dim=1)


def _norm(part: nn.Module) -> Function:
    """Return what a norm computes; RMSNorm in half of the operations that torch's own takes on a CPU.

    x / sqrt(|x|²/C + eps) is √C · x / hypot(|x|, √(C·eps)), and one operation multiplies by √C and the gains.
    """
    if type(part) not in (RMSNorm, AllHeadsNorm):
        return part.forward
    length, root, weight = _length(part), part.weight.shape[0] ** 0.5, part.weight.detach()
    zero, is_float32 = torch.tensor(0.0, device=weight.device), weight.dtype == torch.float32
    gains = weight if weight.is_inference() else weight.float()  # no copy of weights that count no changes

    def normalize(x: Tensor) -> Tensor:
        wide = x if is_float32 else x.float()  # once: each operation on two types would convert it again
        y = torch.addcmul(zero, wide / length(wide), gains, value=root)
        return y if is_float32 else y.to(x.dtype)

    if type(part) is AllHeadsNorm:
        return lambda x: normalize(x.flatten(1)).view(x.shape)
    return normalize


def _length(norm: RMSNorm | AllHeadsNorm) -> Function:
    """Return the function that gives hypot(|x|, √(C·eps)) of each row in float32: (..., C) -> (..., 1)."""
    floor = torch.tensor((norm.weight.shape[0] * norm.eps) ** 0.5, device=norm.weight.device)

    def length(x: Tensor) -> Tensor:
        return torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32).hypot_(floor)

    return length


def _layer(block: Block) -> Layer:
    attention, feedforward = block.attention, block.feedforward
    has_norms = block.config.qk_norm
    return Layer(
        qkv=_product_of_input(block, "attention", attention.qkv_proj),
        head_norms=(_norm(attention.q_norm), _norm(attention.k_norm)) if has_norms else None,
        add_attention=_addition(block, "attention", attention.o_proj),
        feedforward_hidden=_hidden(block, feedforward),
        add_feedforward=_addition(block, "feedforward", feedforward.down_proj),
    )


def _product_of_input(block: Block, name: str, product: nn.Module) -> Function:
    """Return a sub-layer's first product, of its normalized input where the config has a norm before the sub-layer.

    W (g · √C · x / length) is (W · g · √C) (x / length): in a small model the gains are multiplied into a copy of the
    weights once, which saves an operation a token.
    """
    if not block.config.norm_position.startswith("pre"):
        return product.forward
    norm = block.get_submodule(f"{name}_pre_norm")
    if _can_fold(norm, product):
        length, root = _length(norm), norm.weight.shape[0] ** 0.5
        weight = (product.weight * (norm.weight * root)).detach().t()
        return lambda x: torch.mm(x / length(x), weight)
    normalize, forward = _norm(norm), product.forward
    return lambda x: forward(normalize(x))


def _can_fold(norm: nn.Module, product: nn.Module) -> bool:
    """Whether a norm's gains may go into a copy of the weights: a small one, which is renewed when either changes."""
    if type(norm) is not RMSNorm or type(product) is not Linear or product.bias is not None:
        return False
    weight, gains = product.weight, norm.weight
    is_small = weight.dtype == torch.float32 and weight.nbytes < SMALLEST[torch.float32]
    return is_small and not weight.is_inference() and not gains.is_inference()  # those count no changes


def _hidden(block: Block, feedforward: nn.Module) -> Function:
    """Return a feed-forward layer up to its last product, with the norm before it: (B, C) -> (B, F)."""
    if not isinstance(feedforward, SwiGLU):
        up, activation = _product_of_input(block, "feedforward", feedforward.up_proj), feedforward.activation
        return lambda x: activation(up(x))
    gate_up = _product_of_input(block, "feedforward", feedforward.gate_up_proj)
    halves, is_gelu = (block.config.d_ff, block.config.d_ff), isinstance(feedforward, GeGLU)

    def gated(x: Tensor) -> Tensor:
        gate, up = gate_up(x).split_with_sizes(halves, 1)
        return (F.gelu(gate, approximate="tanh") if is_gelu else F.silu(gate)) * up

    return gated


def _addition(block: Block, name: str, product: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what `Block.sub_layer` does from a sub-layer's last product on: (x, hidden) -> x."""
    config, forward = block.config, product.forward
    if config.residual and config.norm_position == "pre":
        return _sum_with_product(product)
    branch = _norm(block.get_submodule(f"{name}_branch_norm")) if "branch" in config.norm_position else None
    post = _norm(block.get_submodule(f"{name}_post_norm")) if config.norm_position == "post" else None

    def add(x: Tensor, hidden: Tensor) -> Tensor:
        h = forward(hidden) if branch is None else branch(forward(hidden))
        x = x + h if config.residual else h
        return x if post is None else post(x)

    return add


def _sum_with_product(product: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """Return x + product(hidden) as one operation, where there is one."""
    if type(product) is Linear and product.bias is None:
        weight = product.weight.detach().t()
        return lambda x, hidden: torch.addmm(x, hidden, weight)
    if type(product) is PackedLinear or (type(product) is Int8Linear and product.bias is None):
        return product.add_to
    return lambda x, hidden: x + product.forward(hidden)
