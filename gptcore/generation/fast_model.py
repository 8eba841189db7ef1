"""A model prepared for generation: its weights packed where that gains, its decode step recorded after a while.

Both take time and memory to make. So they are made once for each model, shared by everyone who generates from it,
made again when its weights change, and freed together with it.
"""

import threading
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from gptcore.cache import KVCache
from gptcore.config import ModelConfig
from gptcore.generation.decode_step import RecordedStep, record_step
from gptcore.generation.packed_weights import pack, packable_weights
from gptcore.model import GPT

WORTH_RECORDING = 32  # steps; a recording costs about as much as it saves in two hundred


@dataclass
class _Preparation:
    """What was made for one model, and the weights it was made from: their memory and their version."""

    weights: tuple[tuple[int, int], ...]
    packed: GPT | None
    n_steps: int = 0
    recording: RecordedStep | None = None
    recorded_dtype: torch.dtype | None = None  # None until the recording was tried


_preparations: WeakKeyDictionary[GPT, _Preparation] = WeakKeyDictionary()
_preparing, _recording = threading.Lock(), threading.Lock()


class FastModel:
    """Computes what a `GPT` does, for generation alone: no gradient passes through it.

    `model` is the packed copy, or the model itself where nothing gains by packing. The cache is the caller's.
    """

    def __init__(self, model: GPT):
        self._source = model
        self._preparation = _prepare(model)
        self.model = self._preparation.packed or model

    @property
    def config(self) -> ModelConfig:
        return self._source.config

    @property
    def device(self) -> torch.device:
        return self._source.device

    @property
    def is_packed(self) -> bool:
        return self._preparation.packed is not None

    @property
    def is_recorded(self) -> bool:
        """Whether the decode step is played from a recording, in the precision the weights have now."""
        return self._preparation.recording is not None and self._is_current()

    def new_cache(self, batch_size: int = 1, capacity: int | None = None) -> KVCache:
        """Return an empty cache for the model, in its precision and on its device."""
        dtype, device = self._source.dtype, self.device
        return KVCache(self.config, batch_size, dtype=dtype, device=device, capacity=capacity)

    def next_logits(self, ids: Tensor, cache: KVCache | None = None) -> Tensor:
        """Return the logits (B, V) of what follows ids (B, T), which continue what the cache has seen."""
        return self.model.output(self.model.hidden(ids, cache)[:, -1])

    def last_logits(self, ids: Tensor, cache: KVCache | None, n_last: int) -> Tensor:
        """Return the logits of what follows each of the last `n_last` ids (T,) of one sequence: (n_last, V)."""
        return self.model.output(self.model.hidden(ids.unsqueeze(0), cache)[0, -n_last:])

    def step(self, token_id: int, cache: KVCache) -> Tensor:
        """Return the logits (V,) of what follows one token, which continues what the cache has seen."""
        ids = torch.tensor([[token_id]], device=self.device)
        recorded = self._recorded_step(ids, cache)
        if recorded is None:
            return self.next_logits(ids, cache)[0]
        cache.reserve(1)
        logits = recorded(ids, torch.tensor(cache.length), cache.keys, cache.values)
        cache.advance(1)
        return logits

    def _recorded_step(self, ids: Tensor, cache: KVCache) -> RecordedStep | None:
        """Return the recording, made now if it is worth it, or None to do without."""
        if self._source.training or self.device.type != "cpu" or cache.length == 0:
            return None
        made = self._preparation
        if self._is_current():
            return made.recording
        made.n_steps += 1
        if made.n_steps < WORTH_RECORDING or not _recording.acquire(blocking=False):
            return None  # too early, or another thread is recording
        try:
            made.recording = record_step(self.model, ids, cache)
            made.recorded_dtype = self._source.dtype
            return made.recording
        finally:
            _recording.release()

    def _is_current(self) -> bool:
        return self._preparation.recorded_dtype == self._source.dtype


def release(model: GPT) -> None:
    """Free what was prepared for a model, for one whose weights are about to change."""
    with _preparing:
        _preparations.pop(model, None)


def _prepare(model: GPT) -> _Preparation:
    packable = packable_weights(model)
    weights = tuple((weight.data_ptr(), weight._version) for weight in packable)
    with _preparing:
        made = _preparations.get(model)
        if made is None or made.weights != weights:
            made = _preparations[model] = _Preparation(weights, pack(model) if packable else None)
        return made
