"""A LLaMA-style language model from scratch: the model, its tokenizer, its training and its sampling.

The letters of shapes:

    B  sequences in the batch       H  query heads             F  width of the feed-forward layer
    T  tokens in this pass          K  key/value heads         V  tokens in the vocabulary
    S  positions seen so far        D  width of one head       L  layers (blocks)
    C  width of the model (d_model)

Names are imported when they are first used, so that `python -m gptcore --help` does not import torch.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

_EXPORTS = {
    "ModelConfig": "config",
    "TrainConfig": "config",
    "RopeScaling": "config",
    "PRESETS": "config",
    "GPT": "model",
    "KVCache": "cache",
    "Tokenizer": "tokenizer",
    "story_tokenizer": "tokenizer",
    "load_tiktoken": "tokenizer",
    "load": "formats",
    "save": "formats",
    "generate": "generation",
    "trace": "tracing",
    "train": "training",
    # What a training loop outside the library needs, as in an exported script.
    "load_corpus": "corpora",
    "prepare_corpus": "corpora",
    "Windows": "corpora",
    "split_windows": "corpora",
    "fixed_batches": "corpora",
    "make_optimizers": "training.optim",
    "learning_rate": "training.optim",
    "window_cuts": "training.optim",
    "clip_gradients": "training.optim",
}

__all__ = sorted(_EXPORTS)
__version__ = "0.1.0"


def __getattr__(name: str):
    if name not in _EXPORTS:
        raise AttributeError(f"module 'gptcore' has no attribute {name!r}")
    return getattr(import_module(f"gptcore.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


# Modules of the first edition that exported scripts import, and that its explainers showed, under their old names.
_MOVED = {
    "gptcore.corpus": "gptcore.corpora",
    "gptcore.hf": "gptcore.formats.hf_weights",
    "gptcore.ladder": "gptcore.stories.scores",
    "gptcore.optim": "gptcore.training.optim",
    "gptcore.parser": "gptcore.stories.parser",
}


class _MovedModules:
    """Finds a module under its old name and returns the module that now has its contents."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in _MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(_MOVED[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = module.__spec__.loader_state  # the import system has put the old name's there


sys.meta_path.append(_MovedModules())
