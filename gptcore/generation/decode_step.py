"""One more token through the model, with Python out of the way.

A step of a small model is some two hundred tiny operations, and on a CPU Python takes as long to ask for one as
the processor takes to do it. So after a few steps `one_more` writes down which operations the model's own code
asks for, once for each model, and from then on plays that recording: the same operations on the same
weights, the same numbers bit for bit, in about .6 of the time at the nano shape.
"""

import sys
import threading
import warnings
from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from gptcore.cache import KVCache
from gptcore.model import GPT

WORTH_RECORDING = 32  # steps; a recording costs about as much as it saves in two hundred
Play = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

_steps_made: WeakKeyDictionary[GPT, int] = WeakKeyDictionary()
_recordings: WeakKeyDictionary[GPT, tuple[torch.dtype, Play | None]] = WeakKeyDictionary()
_one_at_a_time = threading.Lock()


def one_more(model: GPT, token_id: int, cache: KVCache) -> Tensor:
    """Return the scores (V,) for what follows `token_id`, which continues what the cache has seen."""
    ids = torch.tensor([[token_id]], device=model.device)
    play = _recording(model, ids, cache)
    if play is None:
        return model.output(model.hidden(ids, cache)[:, -1])[0]
    cache.reserve(1)
    logits = play(ids, torch.tensor(cache.length), cache.keys, cache.values)
    cache.advance(1)
    return logits


class _Step(nn.Module):
    """What is recorded: everything a step depends on comes in as a tensor."""

    def __init__(self, model: GPT):
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, length: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        cache = KVCache.over(keys, values, length)
        return self.model.output(self.model.forward_hidden(ids, length, cache)[:, -1])[0]


def _recording(model: GPT, ids: Tensor, cache: KVCache) -> Play | None:
    """Return the model's recording, made now if the time has come, or None to do without."""
    if model.training or model.device.type != "cpu" or cache.length == 0:
        return None
    if model in _recordings and _recordings[model][0] == model.dtype:
        return _recordings[model][1]
    _steps_made[model] = _steps_made.get(model, 0) + 1
    if _steps_made[model] < WORTH_RECORDING or not _one_at_a_time.acquire(blocking=False):
        return None  # too early, or another thread is recording
    try:
        play = _record(model, ids, cache)
        _recordings[model] = model.dtype, play
        return play
    finally:
        _one_at_a_time.release()


def _record(model: GPT, ids: Tensor, cache: KVCache) -> Play | None:
    """Record one step; None where this Python cannot, since doing without is only slower."""
    if sys.version_info >= (3, 14):  # torch.jit.trace ends there
        return None
    example = (ids, torch.tensor(cache.length), cache.keys.clone(), cache.values.clone())
    with warnings.catch_warnings(), torch.no_grad():
        # It warns of sizes that become constants: with one token and one sequence they are.
        warnings.simplefilter("ignore")
        try:
            play = torch.jit.trace(_Step(model).eval(), example, check_trace=False)
            expected = model.output(model.hidden(ids, KVCache.over(*example[2:], cache.length))[:, -1])[0]
            return play if torch.equal(play(*example), expected) else None
        except (RuntimeError, TypeError):
            return None
