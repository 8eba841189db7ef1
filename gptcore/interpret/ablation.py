"""Ablation: one forward pass with a head, a layer or the rotation turned off.

The change travels with the trace of one pass and touches no weight, so others who use the same model at the same
time are not affected.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gptcore.config import ModelConfig
from gptcore.tracing import Change, ChangeError

PARTS = ("head", "attention", "feedforward", "layer", "rotation")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ablation:
    """A part of the model whose output is set to zero in one pass; layers and heads count from 0.

    `part` is `head`, `attention`, `feedforward`, `layer` (both of them), or `rotation`: the queries and keys of every
    layer are not rotated.
    """

    part: str
    layer: int = 0
    head: int = 0

    def __post_init__(self):
        if self.part not in PARTS:
            raise ChangeError(f"part={self.part!r} must be one of {', '.join(PARTS)}")

    def changes(self, config: ModelConfig) -> Mapping[str, Change]:
        """Return the steps to replace, by name, for `tracing.trace`; raises ChangeError if there is no such part."""
        if self.part == "rotation":
            return _unrotated(config)
        if not 0 <= self.layer < config.n_layers:
            raise ChangeError(f"layer={self.layer} does not exist; layers go from 0 to {config.n_layers - 1}")
        if self.part == "head":
            if not 0 <= self.head < config.n_heads:
                raise ChangeError(f"head={self.head} does not exist; heads go from 0 to {config.n_heads - 1}")
            return {f"layers.{self.layer}.attention.mixed": lambda mixed, _: _without(mixed, self.head)}
        names = ("attention", "feedforward") if self.part == "layer" else (self.part,)
        # What is added to the residual stream: after the norm, if the branch has one.
        last = "output_normed" if config.norm_position.endswith("branch") else "output"
        return {
            f"layers.{self.layer}.{name}_{last}": lambda output, _: torch.zeros_like(output) for name in names
        }


def _without(mixed: Tensor, head: int) -> Tensor:
    """Return the heads' outputs (B, H, T, D) with zeros for one of them."""
    ablated = mixed.clone()
    ablated[:, head] = 0
    return ablated


def _unrotated(config: ModelConfig) -> Mapping[str, Change]:
    if config.position != "rope":
        raise ChangeError(
            f"position={config.position} has no rotation to remove; only models with rope can be changed "
            "this way"
        )
    return {
        f"layers.{layer}.attention.{name}_rotated": lambda _, seen, name=name: seen[name]
        for layer in range(config.n_layers)
        for name in ("q", "k")
    }
