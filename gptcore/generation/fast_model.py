"""A model prepared for generation: its weights packed where that gains, and its decode step looked up.

Packing takes time and memory. So it is done once for each model, shared by everyone who generates from it, done
again when its weights change, and freed together with it.
"""

import threading
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from gptcore.cache import KVCache
from gptcore.config import ModelConfig
from gptcore.generation.decode_step import DecodeStep, knows
from gptcore.generation.packed_weights import pack, packable_weights
from gptcore.model import GPT


@dataclass(frozen=True, slots=True)
class _Preparation:
    """What was made for one model, and what it was made from: the parts, and their weights' memory and versions."""

    source: tuple[int, ...]
    packed: GPT | None
    decode_step: DecodeStep | None


_preparations: WeakKeyDictionary[GPT, _Preparation] = WeakKeyDictionary()
_preparing = threading.Lock()


class FastModel:
    """Computes what a `GPT` does, for generation alone: no gradient passes through it.

    `model` is the packed copy, or the model itself where nothing gains by packing. One more token for each sequence
    goes through the decode step, if that knows all of the model's parts; everything else through the model's own
    `hidden`. The cache is the caller's.
    """

    def __init__(self, model: GPT):
        prepared = _prepare(model)
        self._source, self._decode_step = model, prepared.decode_step
        self.model = prepared.packed or model

    @property
    def config(self) -> ModelConfig:
        return self._source.config

    @property
    def device(self) -> torch.device:
        return self._source.device

    @property
    def is_packed(self) -> bool:
        return self.model is not self._source

    @property
    def has_step(self) -> bool:
        """Whether the decode step knows all of this model's parts."""
        return self._decode_step is not None

    def new_cache(self, batch_size: int = 1, capacity: int | None = None) -> KVCache:
        """Return an empty cache for the model, in its precision and on its device."""
        dtype, device = self._source.dtype, self.device
        return KVCache(self.config, batch_size, dtype=dtype, device=device, capacity=capacity)

    def next_logits(self, ids: Tensor, cache: KVCache | None = None, lengths: Tensor | None = None) -> Tensor:
        """Return the logits (B, V) of what follows ids (B, T), which continue what the cache has seen.

        `lengths` (B,) is what it has seen of each row, where rows differ; that takes the decode step and T = 1.
        """
        if self._decode_step is not None and cache is not None and ids.shape[1] == 1:
            cache.reserve(1)
            return self._decode_step(ids[:, 0], cache, lengths)
        return self.model.output(self.model.hidden(ids, cache)[:, -1])

    def last_logits(self, ids: Tensor, cache: KVCache | None, n_last: int) -> Tensor:
        """Return the logits of what follows each of the last `n_last` ids (T,) of one sequence: (n_last, V)."""
        return self.model.output(self.model.hidden(ids.unsqueeze(0), cache)[0, -n_last:])

    def step(self, token_id: int, cache: KVCache) -> Tensor:
        """Return the logits (V,) of what follows one token, which continues what the cache has seen."""
        return self.next_logits(torch.tensor([[token_id]], device=self.device), cache)[0]


def release(model: GPT) -> None:
    """Free what was prepared for a model, for one whose weights are about to change."""
    with _preparing:
        _preparations.pop(model, None)


def _prepare(model: GPT) -> _Preparation:
    source = tuple(_fingerprint(model))
    with _preparing:
        made = _preparations.get(model)
        if made is None or made.source != source:
            packed = pack(model) if packable_weights(model) else None
            step = DecodeStep(packed or model) if knows(packed or model) else None
            made = _preparations[model] = _Preparation(source, packed, step)
        return made


def _fingerprint(model: GPT):
    """Yield numbers that change when a part of the model is replaced or a weight is written to."""
    yield model.training
    for part in model.modules():
        yield id(part)
        yield len(part._forward_hooks) + len(part._forward_pre_hooks)
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is not None:
                yield tensor.data_ptr()
                yield -1 if tensor.is_inference() else tensor._version
