"""Recording one decode step: the operations of one more token through the model, without Python between them.

A step of a small model is some two hundred tiny operations, and on a CPU Python takes as long to ask for one as
the processor takes to do it. A recording holds which operations the model's own code asks for and plays them:
the same operations on the same weights, the same numbers bit for bit, in about .6 of the time at the nano shape.
"""

import sys
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gptcore.cache import KVCache
from gptcore.model import GPT

# ids (1, 1), the cache's length, its keys and its values -> logits (V,)
RecordedStep = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class _Step(nn.Module):
    """What is recorded: everything a step depends on comes in as a tensor."""

    def __init__(self, model: GPT):
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, length: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        cache = KVCache.over(keys, values, length)
        return self.model.output(self.model.forward_hidden(ids, length, cache)[:, -1])[0]


def record_step(model: GPT, ids: Tensor, cache: KVCache) -> RecordedStep | None:
    """Record one step of ids (1, 1) with a cache; None where this Python cannot, which is only slower."""
    if sys.version_info >= (3, 14):  # torch.jit.trace ends there
        return None
    example = (ids, torch.tensor(cache.length), cache.keys.clone(), cache.values.clone())
    with warnings.catch_warnings(), torch.no_grad():
        # It warns of sizes that become constants: with one token and one sequence they are.
        warnings.simplefilter("ignore")
        try:
            step = torch.jit.trace(_Step(model).eval(), example, check_trace=False)
            expected = model.output(model.hidden(ids, KVCache.over(*example[2:], cache.length))[:, -1])[0]
            return step if torch.equal(step(*example), expected) else None
        except (RuntimeError, TypeError):
            return None
