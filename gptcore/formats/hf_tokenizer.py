"""The `tokenizer.json` of Hugging Face's `tokenizers`: ours written that way, and others' byte-pair encodings read.

A byte-level vocabulary is the same thing everywhere: bytes, merges in order, a pattern that cuts the text
first. Files differ in the pattern (or several, one after another), in which ids the tokens have, and in how
merges are told: Llama 3 lists every pair that makes a token, Qwen brings text to Unicode's NFC first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import regex

from gptcore.bpe import GPT2_PATTERN, TokenizerError
from gptcore.formats.byte_spelling import bytes_to_unicode
from gptcore.formats.imported_tokenizer import CHAT_TEMPLATE, END_OF_TEXT, Ends, ImportedTokenizer
from gptcore.tokenizer import Tokenizer, read_file


def to_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what `tokenizers` reads from a `tokenizer.json`: the same ids for every text.

    Their reader takes the text of a special token for the token, as `encode(…, allow_special=True)` does.
    """
    if isinstance(tokenizer, ImportedTokenizer):
        return {
            key: value for key, value in tokenizer.content.items() if key not in (END_OF_TEXT, CHAT_TEMPLATE)
        }
    specials = sorted(tokenizer.special_tokens.items(), key=lambda item: item[1])
    vocabulary = {bytes_to_unicode(token): token_id for token, token_id in tokenizer.ranks.items()}
    vocabulary |= dict(specials)
    known = {token_id: text for text, token_id in vocabulary.items()}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": token_id,
                "content": text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for text, token_id in specials
        ],
        "normalizer": None,
        "pre_tokenizer": _their_cuts(tokenizer.pattern),
        "post_processor": None,
        "decoder": _byte_level(use_regex=True),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            # Two words and a space rather than a list of two: engines older than 2024 read only this.
            "merges": [f"{known[merge.left]} {known[merge.right]}" for merge in tokenizer.merges],
        },
    }


def _byte_level(use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def _their_cuts(pattern: str) -> dict[str, Any]:
    if pattern == GPT2_PATTERN:
        return _byte_level(use_regex=True)  # it is built in there, and engines know it by that name
    # Their engine reads $ as the end of a line; that nothing follows is the same to both.
    pattern = regex.sub(r"(?<![\\\[])\$", r"(?![\\s\\S])", pattern)
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, _byte_level(use_regex=False)]}


def load_hf_tokenizer(
    path: str | Path, *, end_of_text: Ends = None, chat_template: object = None
) -> Tokenizer:
    """Return the tokenizer of a `tokenizer.json`; `end_of_text` are the tokens, or their ids, that end a text.

    Raises TokenizerError, naming the part, for what is not BPE or does what ours does not.
    """
    return from_json(read_file(path), str(path), end_of_text=end_of_text, chat_template=chat_template)


def from_json(
    content: Any, name: str, *, end_of_text: Ends = None, chat_template: object = None
) -> Tokenizer:
    """Return the tokenizer that a `tokenizer.json` describes; `name` is what messages call it.

    A `chat_template` that is a text is kept with it. Raises TokenizerError, and nothing else, for any other content.
    """
    try:
        if isinstance(chat_template, str):
            content = content | {CHAT_TEMPLATE: chat_template}
        tokenizer = ImportedTokenizer(content, name, end_of_text)
        return tokenizer.to_tokenizer() or tokenizer
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        if isinstance(error, TokenizerError):
            raise
        raise TokenizerError(f"{name} is damaged: its vocabulary or merges are invalid.") from error
