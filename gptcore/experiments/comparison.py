"""One row of a benchmark: the same work done by us and by a peer, in turns, in one process."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from gptcore.config import ModelConfig
from gptcore.formats.hf_weights import config_dict, state_dict
from gptcore.model import GPT

ROUNDS = 7
Work = Callable[[], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One comparison: ours and the peer's median in `unit`, how many times better ours is, and how it was done."""

    name: str
    ours: float | None = None
    peer: float | None = None
    ratio: float | None = None
    unit: str = ""
    how: str = ""
    skipped: str | None = None


class Skipped(Exception):
    """A row that cannot be measured here, with the reason."""


def alternate(*works: Work, rounds: int = ROUNDS) -> list[float]:
    """Return the median seconds of each work, alternating all of them, after one round of warm-up."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(rounds + 1):
        for work, taken in zip(works, times, strict=True):
            started = time.perf_counter()
            work()
            if turn:
                taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in times]


def require(package: str) -> None:
    if find_spec(package) is None:
        raise Skipped(f"{package} is not installed; install requirements-dev.txt")


def peer_model(config: ModelConfig, model: GPT | None = None):
    """Return transformers' Llama of the same shape, with the same weights if a model is given."""
    require("transformers")
    import transformers

    transformers.logging.set_verbosity_error()
    described = config_dict(config)
    for name in ("architectures", "model_type", "torch_dtype"):
        del described[name]
    peer = transformers.LlamaForCausalLM(transformers.LlamaConfig(**described))
    if model is not None:
        peer.load_state_dict(state_dict(model), strict=False)  # a tied output layer is not stored twice
    return peer
