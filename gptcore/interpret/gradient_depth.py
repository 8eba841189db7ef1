"""Gradients by depth: how the backward pass scales them, and what each block adds to the residual stream."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gptcore.config import ModelConfig
from gptcore.model import GPT
from gptcore.tracing import trace

NO_EPS = 1e-20  # so small that a norm scales any signal back to size 1
SUB_LAYERS = ("attention", "feedforward")


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One batch through a stack: L + 1 numbers each, before the first block and after every block."""

    gradient_norms: tuple[float, ...]  # length of the loss's gradient by the stream there
    sizes: tuple[float, ...]  # root mean square of the stream there
    loss: float  # nats a token

    @property
    def relative_gradients(self) -> tuple[float, ...]:
        """Gradient times size: how much the loss responds to a relative change of the stream."""
        return tuple(gradient * size for gradient, size in zip(self.gradient_norms, self.sizes))


def profile(model: GPT, ids: Tensor, targets: Tensor) -> Profile:
    """Return gradient and size of the stream at every depth, for ids and targets (B, T).

    Nothing is kept on the model: its weights get no gradient, so visitors may share it.
    """
    nested: dict = {}
    with torch.enable_grad():
        logits = model(ids, trace=nested)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        end = "after_feedforward_normed" if model.config.norm_position == "post" else "after_feedforward"
        streams = [nested["positioned"], *(block[end] for block in nested["layers"].values())]
        gradients = torch.autograd.grad(loss, streams)
    return Profile(
        gradient_norms=tuple(gradient.norm().item() for gradient in gradients),
        sizes=tuple(rms(x.detach()) for x in streams),
        loss=loss.item(),
    )


def rms(x: Tensor) -> float:
    """Return the root mean square of all numbers of a tensor."""
    return x.square().mean().sqrt().item()


def stack_config(
    n_layers: int,
    *,
    norm_position: str = "pre",
    residual: bool = True,
    norm: str = "rmsnorm",
    norm_eps: float = NO_EPS,
    d_model: int = 64,
) -> ModelConfig:
    """Return the config of a narrow model of any depth, with the blocks of the large ones."""
    return ModelConfig(
        vocab_size=64,
        context_length=16,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=4,
        d_ff=3 * d_model,
        norm=norm,
        norm_eps=norm_eps,
        norm_position=norm_position,
        residual=residual,
    )


def at_initialization(config: ModelConfig, *, seed: int = 0) -> Profile:
    """Return the profile of a model at initialization, on 2 × 16 random tokens."""
    generator = torch.Generator().manual_seed(seed)
    n_tokens = min(16, config.context_length - 1)
    ids = torch.randint(config.vocab_size, (2, n_tokens + 1), generator=generator)
    return profile(GPT(config, seed=seed), ids[:, :-1], ids[:, 1:])


@dataclass(frozen=True, kw_only=True, slots=True)
class ResidualUpdate:
    """What one part adds to the residual stream, means over the tokens of a text."""

    name: str  # `embedding`, `attention 1`, `feedforward 1`, …
    size: float  # root mean square of what is added
    beside: float  # its size over that of the stream it is added to; 1 for the embedding
    fraction: float  # of the last stream's squared length; all fractions sum to 1. NaN with post-norm


def residual_updates(seen: dict[str, Tensor], config: ModelConfig) -> list[ResidualUpdate]:
    """Return what the embedding and every sub-layer add, from the trace of a text.

    The last stream is the sum of all updates, so its squared length is the sum of its dot products with each: a
    fraction is negative if a part removes what others added. Not so with post-norm, which scales down what was
    there before, nor without residuals, where each layer replaces the stream.
    """
    adds_up = config.residual and config.norm_position != "post"
    x = seen["positioned"]
    last = seen[f"layers.{config.n_layers - 1}.after_feedforward"]
    squared = last.square().sum(-1)

    def note(name: str, added: Tensor, beside: float) -> ResidualUpdate:
        fraction = ((added * last).sum(-1) / squared).mean().item() if adds_up else math.nan
        return ResidualUpdate(name=name, size=rms(added), beside=beside, fraction=fraction)

    updates = [note("embedding", x, 1.0)]
    for layer in range(config.n_layers):
        for name in SUB_LAYERS:
            prefix = f"layers.{layer}."
            added = seen.get(f"{prefix}{name}_output_normed", seen[f"{prefix}{name}_output"])
            updates.append(note(f"{name} {layer + 1}", added, rms(added) / (rms(x) or math.nan)))
            x = seen.get(f"{prefix}after_{name}_normed", seen[f"{prefix}after_{name}"])
    return updates


@torch.inference_mode()
def without_block(model: GPT, layer: int, ids: Tensor, targets: Tensor) -> float:
    """Return the loss, in nats a token, of a model whose block number `layer` (from 0) is ablated."""
    changed = GPT(model.config)
    weights = dict(model.state_dict())
    for name in list(weights):
        if name.startswith(f"layers.{layer}.") and name.endswith(("o_proj.weight", "down_proj.weight")):
            weights[name] = torch.zeros_like(weights[name])
    changed.load_state_dict(weights)
    return changed.eval().loss(ids, targets).item()


def gradient_factors(model: GPT, ids: list[int], layer: int, position: int) -> Tensor:
    """Return the factors by which a feed-forward sub-layer, residual included, passes a gradient on: (C,).

    They are the singular values of I + ∂F at one token: 1 passes a direction as it is, 0 wipes it out.
    """
    block = model.layers[layer]
    before = trace(model, ids)[f"layers.{layer}.after_attention"][0, position].clone()

    def half(x: Tensor) -> Tensor:
        return block.sub_layer("feedforward", block.feedforward, x[None, None])[0, 0]

    return torch.linalg.svdvals(torch.func.jacrev(half)(before))


@torch.inference_mode()
def moved_by_token_change(model: GPT, ids: list[int], position: int) -> tuple[list[float], list[float]]:
    """Return how far each token's output moves in the first block's attention and in its feed-forward layer alone.

    The token at `position` becomes another one, so that one row of the first stream changes. Both layers read that
    stream normalized, each by itself: the feed-forward layer does not get attention's output.
    """
    changed = list(ids)
    changed[position] = (ids[position] + 1) % model.config.vocab_size
    block = model.layers[0]
    both = torch.tensor([ids, changed], device=model.device)
    x = model.positions.embed(model.embed(both), 0)
    h = F.rms_norm(x, x.shape[-1:])
    angles, allowed = model.angles_and_masks(0, len(ids), x.dtype)[0]
    outputs = (block.attention(h, angles, allowed, path="explicit"), block.feedforward(h))
    attention, feedforward = ((pair[0] - pair[1]).norm(dim=-1).tolist() for pair in outputs)
    return attention, feedforward
