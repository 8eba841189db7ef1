"""Models and runs in the formats of others: Hugging Face folders and tokenizers, scripts and notebooks.

`load` reads a model in any of the formats and `save` writes one in our own. Importing this package also teaches
`Tokenizer.load`, and with it `read_folder`, to read Hugging Face's `tokenizer.json`.
"""

from gptcore.checkpoint import read_folder, save
from gptcore.formats import hf_tokenizer
from gptcore.formats.models import load, load_tokenizer
from gptcore.tokenizer import OTHER_READERS, Tokenizer

__all__ = ["Tokenizer", "load", "load_tokenizer", "read_folder", "save"]

OTHER_READERS.append(hf_tokenizer.tokenizer_or_none)
