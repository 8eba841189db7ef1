"""Tracing one forward pass: every intermediate tensor by name, exactly as it was computed.

The model records into a dictionary that the caller passes in, and keeps no state, so callers that share a model never
see each other's numbers. A caller can also change what is computed, for this one pass: the changes travel with the
trace, and the model stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

Scope = dict | None
# What a step becomes: it gets the step's tensor and what the same component has recorded before it.
Change = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


class ChangeError(ValueError):
    """A change that names a step this model doesn't have."""


class ChangedTrace(dict):
    """A trace whose owner replaces steps by name while they are computed: what follows builds on the change."""

    def __init__(self, changes: Mapping[str, Change], prefix: str = "", met: set[str] | None = None):
        super().__init__()
        self.changes, self.prefix = changes, prefix
        self.met = set() if met is None else met

    def part(self, name: str) -> ChangedTrace:
        """Return the trace of one component, with the changes that may concern it."""
        return ChangedTrace(self.changes, f"{self.prefix}{name}.", self.met)

    def changed(self, name: str, tensor: Tensor) -> Tensor:
        """Return what a step becomes: itself if no change names it."""
        change = self.changes.get(self.prefix + name)
        if change is None:
            return tensor
        self.met.add(self.prefix + name)
        return change(tensor, self)


def record(trace: Scope, name: str, tensor: Tensor) -> Tensor:
    """Store a tensor under its name if there is a trace; return it, or what the trace's owner replaces it with."""
    if trace is not None:
        if isinstance(trace, ChangedTrace):
            tensor = trace.changed(name, tensor)
        trace[name] = tensor
    return tensor


def scope(trace: Scope, name: str) -> Scope:
    """Return the part of a trace that belongs to one component, or None without a trace."""
    if trace is None:
        return None
    if name not in trace:
        trace[name] = trace.part(name) if isinstance(trace, ChangedTrace) else {}
    return trace[name]


@torch.inference_mode()
def trace(
    model: nn.Module,
    ids: list[int] | Tensor,
    cache: Any = None,
    *,
    changes: Mapping[str, Change] | None = None,
) -> dict[str, Tensor]:
    """Run one forward pass of a GPT and return every intermediate by name, in the order of computation.

    Names read like paths: `embedding`, `layers.0.attention.q`, `layers.0.attention.weights`, …, `logits`,
    `probabilities`. The pass takes the explicit attention path, whose steps exist as tensors; its logits
    equal `model(ids, path="explicit")` bit for bit. Ids are one sequence or a batch (B, T); with a KVCache they
    continue what it has seen, and only their own steps are computed and recorded.

    `changes` replaces steps by name for this pass alone (`interpret.ablation` has some to choose from); the trace
    then holds the changed results. Raises ChangeError if the model has no step of that name.
    """
    ids = torch.as_tensor(ids, device=model.device)
    nested: dict = ChangedTrace(changes) if changes else {}
    logits = model(ids.unsqueeze(0) if ids.dim() == 1 else ids, cache=cache, trace=nested)
    if isinstance(nested, ChangedTrace) and (unknown := set(changes) - nested.met):
        raise ChangeError(
            f"this model has no intermediate {min(unknown)!r}; call `trace` without changes to see all names"
        )
    nested["probabilities"] = torch.softmax(logits.float(), dim=-1)
    return dict(_flatten(nested))


def _flatten(nested: dict, prefix: str = ""):
    for name, value in nested.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
