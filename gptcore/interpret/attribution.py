"""Direct logit attribution: what each part of the model contributes to the logit of one token.

Every part adds a vector to the residual stream, and the output layer takes a dot product with their sum. A product
with a sum is a sum of products, so each part has its own contribution, and they add up exactly (Elhage et al. 2021).
One step in between is not linear: the final norm divides by the size of the whole sum. Its scale is kept as it was
in this pass. So a contribution is direct: what a part changed in later parts counts as theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gptcore.model import GPT
from gptcore.norms import LayerNorm, NoNorm, RMSNorm


class AttributionError(ValueError):
    """A model whose parts have no contributions that add up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contribution:
    """What one part adds to a logit. `layer` and `head` count from 0, None where there is none."""

    part: str  # embedding, positions, head, attention_bias, feedforward, final_norm_bias
    layer: int | None = None
    head: int | None = None
    value: float


@torch.inference_mode()
def contributions(model: GPT, seen: dict[str, Tensor], position: int, token_id: int) -> list[Contribution]:
    """Return the contribution of every part to the logit of `token_id` at a position of a traced sequence.

    `seen` is the trace of one sequence; positions count from 0. The contributions sum to the logit, and in a
    model with a `logit_cap` to the logit before the cap. Raises AttributionError for a model without residual stream,
    or with post-norm.
    """
    parts, vectors = residual_vectors(model, seen, position)
    stream, table = vectors.sum(0), model.output.weight[token_id]
    scaled = _frozen_norm(model.final_norm, stream, vectors)  # (n, C)
    values = (scaled.double() @ table.double()).tolist()
    listed = [
        Contribution(part=part, layer=layer, head=head, value=value)
        for (part, layer, head), value in zip(parts, values)
    ]
    bias = getattr(model.final_norm, "bias", None)
    if bias is not None:
        listed.append(Contribution(part="final_norm_bias", value=float(bias.double() @ table.double())))
    return listed


@torch.inference_mode()
def residual_vectors(
    model: GPT, seen: dict[str, Tensor], position: int
) -> tuple[list[tuple[str, int | None, int | None]], Tensor]:
    """Return what every part added to the residual stream at one position: (part, layer, head) of each, and (n, C).

    Their sum is what reaches the final norm. Raises AttributionError as `contributions` does.
    """
    config = model.config
    if not config.residual:
        raise AttributionError(
            "without residual connections only the last layer reaches the logits; set residual=True"
        )
    if config.norm_position == "post":
        raise AttributionError(
            "norm_position=post rescales the residual stream after every layer, so contributions cannot "
            "be separated; use pre, branch or pre+branch"
        )
    parts: list[tuple[str, int | None, int | None]] = [("embedding", None, None)]
    vectors = [seen["embedding"][0, position]]
    if config.position in ("learned", "sinusoidal"):
        parts.append(("positions", None, None))
        vectors.append(seen["positioned"][0, position] - seen["embedding"][0, position])
    for layer, block in enumerate(model.layers):
        heads, bias = _heads(block, seen, layer, position)
        parts += [("head", layer, head) for head in range(config.n_heads)]
        vectors += heads
        if bias is not None:
            parts.append(("attention_bias", layer, None))
            vectors.append(bias)
        output_name = "feedforward_output_normed" if _on_branch(config) else "feedforward_output"
        parts.append(("feedforward", layer, None))
        vectors.append(seen[f"layers.{layer}.{output_name}"][0, position])
    return parts, torch.stack(vectors)


def _on_branch(config) -> bool:
    return config.norm_position.endswith("branch")


def _heads(
    block: nn.Module, seen: dict[str, Tensor], layer: int, position: int
) -> tuple[list[Tensor], Tensor | None]:
    """Return what each head of a layer added to the stream (C,), and what belongs to no head: a bias, or None."""
    o_proj = block.attention.o_proj
    mixed = seen[f"layers.{layer}.attention.mixed"][0, :, position]  # (H, D)
    table = o_proj.weight.unflatten(1, mixed.shape)  # (C, H, D)
    heads = torch.einsum("hd,chd->hc", mixed, table)
    rest = [] if o_proj.bias is None else [o_proj.bias]
    if _on_branch(block.config):
        norm, output = block.attention_branch_norm, seen[f"layers.{layer}.attention_output"][0, position]
        heads = _frozen_norm(norm, output, heads)
        rest = [_frozen_norm(norm, output, part) for part in rest]
        if getattr(norm, "bias", None) is not None:
            rest.append(norm.bias)
    return list(heads), sum(rest) if rest else None


def _rms(norm: RMSNorm, whole: Tensor, part: Tensor) -> Tensor:
    return norm.weight * part * torch.rsqrt(whole.float().square().mean() + norm.eps)


def _layer_norm(norm: LayerNorm, whole: Tensor, part: Tensor) -> Tensor:
    inverse_std = torch.rsqrt(whole.float().var(correction=0) + norm.eps)
    return norm.weight * (part - part.mean(-1, keepdim=True)) * inverse_std


# For each norm: its output for a part, scaled as it was for the whole, without its bias.
_FROZEN_NORMS: dict[type[nn.Module], Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
    RMSNorm: _rms,
    LayerNorm: _layer_norm,
    NoNorm: lambda norm, whole, part: part,
}


def _frozen_norm(norm: nn.Module, whole: Tensor, part: Tensor) -> Tensor:
    """Apply a norm to a part (…, C) of a vector (C,), with the scale it had for the whole vector."""
    if type(norm) not in _FROZEN_NORMS:
        raise AttributionError(f"the scale of {type(norm).__name__} is unknown; add it to attribution.py")
    return _FROZEN_NORMS[type(norm)](norm, whole, part)
