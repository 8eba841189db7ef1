"""Who said it: the share of each part of the model in the logit of one word, in shares that add up exactly.

Every part adds a vector to the stream, and the output layer takes a product with their sum. A product with a
sum is a sum of products, so each part has its own share (Elhage et al. 2021, direct logit attribution). One
step on the way is not linear: the final norm divides by the size of the whole sum. Its scale is taken as it was in
this pass. So a share says what a part wrote directly; what it changed in later parts is counted as theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gptcore.model import GPT
from gptcore.norms import LayerNorm, NoNorm, RMSNorm


class AttributionError(ValueError):
    """A model whose parts have no shares that add up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contribution:
    """What one part adds to a logit. `layer` and `head` count from 0, None where there is none."""

    part: str  # embedding, positions, head, attention_bias, feedforward, final_norm_bias
    layer: int | None = None
    head: int | None = None
    value: float


@torch.inference_mode()
def contributions(model: GPT, seen: dict[str, Tensor], place: int, token_id: int) -> list[Contribution]:
    """Return the share of every part in the logit of `token_id` at a place of a traced sequence.

    `seen` is the trace of one sequence; places count from 0 within it. The shares sum to the logit. Raises
    AttributionError for a model without residual stream, or one whose norms stand on the stream.
    """
    parts, vectors = residual_vectors(model, seen, place)
    stream, table = vectors.sum(0), model.output.weight[token_id]
    scaled = _norm_as_it_was(model.final_norm, stream, vectors)  # (n, C)
    values = (scaled.double() @ table.double()).tolist()
    found = [
        Contribution(part=part, layer=layer, head=head, value=value)
        for (part, layer, head), value in zip(parts, values)
    ]
    bias = getattr(model.final_norm, "bias", None)
    if bias is not None:
        found.append(Contribution(part="final_norm_bias", value=float(bias.double() @ table.double())))
    return found


@torch.inference_mode()
def residual_vectors(
    model: GPT, seen: dict[str, Tensor], place: int
) -> tuple[list[tuple[str, int | None, int | None]], Tensor]:
    """Return what every part wrote into the stream at one place: (part, layer, head) of each, and (n, C).

    Their sum is what reaches the final norm. Raises AttributionError as `shares` does.
    """
    config = model.config
    if not config.residual:
        raise AttributionError("without residuals only the last layer reaches the logits; set residual=True")
    if config.norm_position == "post":
        raise AttributionError(
            "norm_position=post rescales the stream after every layer, so no part keeps a share of its own; "
            "take pre, branch or pre+branch"
        )
    parts: list[tuple[str, int | None, int | None]] = [("embedding", None, None)]
    vectors = [seen["embedding"][0, place]]
    if config.position in ("learned", "sinusoidal"):
        parts.append(("positions", None, None))
        vectors.append(seen["positioned"][0, place] - seen["embedding"][0, place])
    for layer, block in enumerate(model.layers):
        heads, bias = _heads(block, seen, layer, place)
        parts += [("head", layer, head) for head in range(config.n_heads)]
        vectors += heads
        if bias is not None:
            parts.append(("attention_bias", layer, None))
            vectors.append(bias)
        said = "feedforward_output_normed" if _on_branch(config) else "feedforward_output"
        parts.append(("feedforward", layer, None))
        vectors.append(seen[f"layers.{layer}.{said}"][0, place])
    return parts, torch.stack(vectors)


def _on_branch(config) -> bool:
    return config.norm_position.endswith("branch")


def _heads(
    block: nn.Module, seen: dict[str, Tensor], layer: int, place: int
) -> tuple[list[Tensor], Tensor | None]:
    """Return what each head of a layer added to the stream (C,), and what belongs to no head: a bias, or None."""
    o_proj = block.attention.o_proj
    mixed = seen[f"layers.{layer}.attention.mixed"][0, :, place]  # (H, D)
    table = o_proj.weight.unflatten(1, mixed.shape)  # (C, H, D)
    heads = torch.einsum("hd,chd->hc", mixed, table)
    rest = [] if o_proj.bias is None else [o_proj.bias]
    if _on_branch(block.config):
        norm, said = block.attention_branch_norm, seen[f"layers.{layer}.attention_output"][0, place]
        heads = _norm_as_it_was(norm, said, heads)
        rest = [_norm_as_it_was(norm, said, part) for part in rest]
        if getattr(norm, "bias", None) is not None:
            rest.append(norm.bias)
    return list(heads), sum(rest) if rest else None


def _rms(norm: RMSNorm, whole: Tensor, part: Tensor) -> Tensor:
    return norm.weight * part * torch.rsqrt(whole.float().square().mean() + norm.eps)


def _layer_norm(norm: LayerNorm, whole: Tensor, part: Tensor) -> Tensor:
    spread = torch.rsqrt(whole.float().var(correction=0) + norm.eps)
    return norm.weight * (part - part.mean(-1, keepdim=True)) * spread


# For each norm: what it makes of a part when its scale is the one it had on the whole, its bias left out.
_AS_IT_WAS: dict[type[nn.Module], Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
    RMSNorm: _rms,
    LayerNorm: _layer_norm,
    NoNorm: lambda norm, whole, part: part,
}


def _norm_as_it_was(norm: nn.Module, whole: Tensor, part: Tensor) -> Tensor:
    """Send a part (…, C) of a vector (C,) through a norm that scales as it did for the whole."""
    if type(norm) not in _AS_IT_WAS:
        raise AttributionError(
            f"{type(norm).__name__} is not known here; a line in attribution.py says how it scales"
        )
    return _AS_IT_WAS[type(norm)](norm, whole, part)
