"""Reading a model in whichever format its folder holds, and a tokenizer by its name or from its file."""

import json
from pathlib import Path

from gptcore.checkpoint import read_latest
from gptcore.formats import hf_folder
from gptcore.model import GPT
from gptcore.tokenizer import Tokenizer, load_tiktoken, story_tokenizer


def load(folder: str | Path) -> tuple[GPT, Tokenizer | None]:
    """Return the model and tokenizer of a saved model, a run (its latest state, or the one before it), or a
    Hugging Face folder of Llama's family (weights become fp32; without a tokenizer of its own: None).

    Raises ValueError in one sentence for a folder that holds none, or whose files do not belong together.
    """
    return hf_folder.load_hf(folder) if is_hf_folder(folder) else read_latest(folder)


def is_hf_folder(folder: str | Path) -> bool:
    """Return whether a folder's config.json is a Hugging Face model's, not one of ours."""
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and "model_type" in config


def load_tokenizer(name: str | Path) -> Tokenizer:
    """Return the tokenizer called `story` or `gpt2`, or the one in a file; raises TokenizerError as these do."""
    named = {"story": story_tokenizer, "gpt2": load_tiktoken}
    return named[name]() if name in named else Tokenizer.load(name)
