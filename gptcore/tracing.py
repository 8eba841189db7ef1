"""Looking inside one forward pass: every intermediate tensor by name, exactly as it was computed.

The model records into a dictionary its caller hands in and keeps nothing itself, so two people who look at
one shared model never see each other's numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from gptcore.cache import KVCache
    from gptcore.model import GPT

Scope = dict | None


def record(trace: Scope, name: str, tensor: Tensor) -> Tensor:
    """Note a tensor under its name, if anyone is looking, and hand it on unchanged."""
    if trace is not None:
        trace[name] = tensor
    return tensor


def scope(trace: Scope, name: str) -> Scope:
    """Return the part of a trace that belongs to one component, or None if nobody is looking."""
    return None if trace is None else trace.setdefault(name, {})


@torch.inference_mode()
def trace(model: GPT, ids: list[int] | Tensor, cache: KVCache | None = None) -> dict[str, Tensor]:
    """Run one forward pass and return every intermediate by name, in the order of computation.

    Names read like paths: `embedding`, `layers.0.attention.q`, `layers.0.attention.weights`, …, `logits`,
    `probabilities`. The pass takes the explicit attention path, whose steps exist as tensors; its logits
    equal `model(ids, path="explicit")` bit for bit. Ids are one sequence or a batch (B, T).
    """
    ids = torch.as_tensor(ids, device=model.device)
    nested: dict = {}
    logits = model(ids.unsqueeze(0) if ids.dim() == 1 else ids, cache=cache, trace=nested)
    nested["probabilities"] = torch.softmax(logits.float(), dim=-1)
    return dict(_flatten(nested))


def _flatten(nested: dict, prefix: str = ""):
    for name, value in nested.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
