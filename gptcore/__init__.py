"""A LLaMA-style language model from scratch: the model, its tokenizer, its training and its sampling.

Shapes are written with the same letters everywhere:

    B  sequences in the batch       H  query heads             F  width of the feed-forward layer
    T  tokens in this pass          K  key/value heads         V  tokens in the vocabulary
    S  positions seen so far        D  width of one head       L  layers (blocks)
    C  width of the model (d_model)

Names are imported when they are first used, so that `python -m gptcore --help` need not wait for torch.
"""

from importlib import import_module

_EXPORTS = {
    "ModelConfig": "config",
    "TrainConfig": "config",
    "RopeScaling": "config",
    "PRESETS": "config",
    "GPT": "model",
    "KVCache": "cache",
    "Tokenizer": "formats",
    "train": "training.loop",
    "generate": "generation.sampling",
    "trace": "tracing",
    "load": "formats",
    "save": "formats",
}

__all__ = sorted(_EXPORTS)
__version__ = "0.1.0"


def __getattr__(name: str):
    if name not in _EXPORTS:
        raise AttributeError(f"module 'gptcore' has no attribute {name!r}")
    return getattr(import_module(f"gptcore.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
