"""The training loop as a stream of events, and what it needs: optimizers, devices, processes, faults."""

from importlib import import_module

# Found when they are first used: a reader of events need not load the loop, and with it torch.
_EXPORTS = {"train": "loop", "train_step": "loop", "unigram_entropy": "evaluation"}


def __getattr__(name: str):
    if name not in _EXPORTS:
        raise AttributeError(f"module 'gptcore.training' has no attribute {name!r}")
    return getattr(import_module(f"gptcore.training.{_EXPORTS[name]}"), name)
