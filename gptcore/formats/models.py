"""Reading a model in whichever format its folder holds, and a tokenizer by its name or from its file."""

from pathlib import Path

from gptcore.checkpoint import SHIPPED, read_latest
from gptcore.files import read_json
from gptcore.formats import hf_folder
from gptcore.formats.gguf_file import GgufError
from gptcore.formats.gguf_model import load_gguf
from gptcore.formats.hf_folder import FolderError
from gptcore.formats.hf_tokenizer import load_hf_tokenizer
from gptcore.model import GPT
from gptcore.tokenizer import Tokenizer, load_tiktoken, story_tokenizer


def load(folder: str | Path = SHIPPED) -> tuple[GPT, Tokenizer | None]:
    """Return the model and tokenizer of a saved model, a run (its latest state, or the one before it), a
    Hugging Face folder or a GGUF file (weights become fp32; without a tokenizer of its own: None). Without a
    path it is the shipped model.

    Raises ValueError in one sentence for a folder that holds none, or whose files do not belong together.
    """
    if Path(folder).is_file():
        return load_gguf(folder)
    return hf_folder.load_hf(folder) if is_hf_folder(folder) else read_latest(folder)


def load_with_tokenizer(folder: str | Path) -> tuple[GPT, Tokenizer]:
    """Return a model and its tokenizer as `load` does; raises ValueError also for a folder that has no tokenizer."""
    model, tokenizer = load(folder)
    if tokenizer is None:
        if Path(folder).is_file():
            raise GgufError(f"{folder} does not contain a tokenizer; choose a file that has one")
        raise FolderError(f"{folder} does not contain a tokenizer; add the model's tokenizer.json")
    return model, tokenizer


def is_hf_folder(folder: str | Path) -> bool:
    """Return whether a folder's config.json is a Hugging Face model's, not one of ours."""
    return "model_type" in read_json(Path(folder) / "config.json")


def load_tokenizer(name: str | Path) -> Tokenizer:
    """Return the tokenizer called `story` or `gpt2`, or the one in a file; raises TokenizerError as these do.

    A tokenizer_config.json beside the file says which token ends a text.
    """
    named = {"story": story_tokenizer, "gpt2": load_tiktoken}
    if name in named:
        return named[name]()
    folder = Path(name).parent
    if (folder / "tokenizer_config.json").is_file():
        return load_hf_tokenizer(name, end_of_text=hf_folder.end_tokens(folder))
    return Tokenizer.load(name)
