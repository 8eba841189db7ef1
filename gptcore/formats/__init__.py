"""Models and runs in the formats of others: Hugging Face folders and tokenizers, scripts and notebooks.

`load` reads a model in any of the formats and `save` writes one in our own.
"""

from gptcore.checkpoint import read_folder, save
from gptcore.formats.models import load, load_tokenizer, load_with_tokenizer
from gptcore.tokenizer import Tokenizer

__all__ = ["Tokenizer", "load", "load_tokenizer", "load_with_tokenizer", "read_folder", "save"]
