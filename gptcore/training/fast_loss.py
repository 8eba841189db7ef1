"""The model's loss by its fast path: the same formula as `GPT.loss`, computed by `fused_functions`.

It is for training alone: no cache, no trace. A part that has no fast form runs as the model has it. Tests hold the two
paths together, values and gradients, for every field of a config.
"""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from gptcore.attention import Attention
from gptcore.feedforward import SwiGLU
from gptcore.initialization import Linear
from gptcore.losses import cross_entropy
from gptcore.model import GPT, Block, compute_dtype, maybe_dropout
from gptcore.norms import RMSNorm
from gptcore.training.fused_functions import Pattern, attend, embed_tied, linear, product, rms_norm, swiglu


def training_loss(model: GPT, ids: Tensor, targets: Tensor, *, path: str) -> Tensor:
    """Return the mean cross-entropy of targets (B, T) given ids (B, T) by a path: `fast`, `fused` or `explicit`."""
    return fast_loss(model, ids, targets) if path == "fast" else model.loss(ids, targets, path=path)


def fast_loss(model: GPT, ids: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats of targets (B, T) given ids (B, T), as `GPT.loss` does."""
    config, n_tokens = model.config, ids.shape[1]
    if config.tie_embeddings:
        x, table = embed_tied(model.embedding.weight, ids)
    else:
        x, table = model.embedding(ids), model.output.weight
    dtype = compute_dtype(x)
    x = x if config.embedding_scale == 1 else x * config.embedding_scale
    x = maybe_dropout(model.positions.embed(x, 0), model)
    by_kind = dict(zip(model.layer_kinds, model.angles_and_masks(0, n_tokens, dtype)))
    patterns = {kind: Pattern.of(config, kind, *tensors, dtype) for kind, tensors in by_kind.items()}
    for block, kind in zip(model.layers, model.layer_kinds):
        x = _sub_layer(
            block, "attention", partial(_attention, block.attention, patterns[kind], by_kind[kind]), x
        )
        x = _sub_layer(block, "feedforward", partial(_feedforward, block.feedforward), x)
    x = _normed(model.final_norm, x, dtype).flatten(0, 1)
    if config.logit_cap is not None:
        return F.cross_entropy(model.output(x).float(), targets.flatten())
    return cross_entropy(x, table, targets.flatten(), product)


def _sub_layer(block: Block, name: str, compute, x: Tensor) -> Tensor:
    """Run one sub-layer as `Block.sub_layer` does; its input in the products' type, the residual stream in its own."""
    norm_position, dtype = block.config.norm_position, compute_dtype(x)
    h = (
        _normed(getattr(block, f"{name}_pre_norm"), x, dtype)
        if norm_position.startswith("pre")
        else x.to(dtype)
    )
    h = maybe_dropout(compute(h), block)
    if norm_position.endswith("branch"):
        h = _normed(getattr(block, f"{name}_branch_norm"), h, h.dtype)
    x = x + h if block.config.residual else h
    return _normed(getattr(block, f"{name}_post_norm"), x, x.dtype) if norm_position == "post" else x


def _normed(norm: torch.nn.Module, x: Tensor, dtype: torch.dtype) -> Tensor:
    if type(norm) is RMSNorm:
        return rms_norm(x, norm.weight, norm.eps, dtype)
    return norm(x).to(dtype)


def _feedforward(layer: torch.nn.Module, h: Tensor) -> Tensor:
    if type(layer) is not SwiGLU:
        return layer(h)
    return _projected(layer.down_proj, swiglu(_projected(layer.gate_up_proj, h)))


def _projected(layer: torch.nn.Module, h: Tensor) -> Tensor:
    if type(layer) is not Linear or h.dtype != layer.weight.dtype:  # in bf16 autocast converts the weights
        return layer(h)
    y = linear(h, layer.weight)
    return y if layer.bias is None else y + layer.bias


def _attention(layer: Attention, pattern: Pattern, tensors: tuple, h: Tensor) -> Tensor:
    config = layer.config
    if config.qk_norm or config.score_cap is not None or (layer.training and config.dropout):
        angles, allowed = tensors
        return layer(h, angles, allowed, path="explicit")
    return _projected(layer.o_proj, attend(_projected(layer.qkv_proj, h), pattern))
