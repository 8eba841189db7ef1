"""The tokenizer in a GGUF file's metadata, as the `tokenizer.json` that says the same.

Two kinds are read: `gpt2`, byte-level BPE with a named way to cut text, and `llama`, SentencePiece's BPE, whose merges
follow from the tokens' scores. The chat template goes along.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gguf
import numpy as np

from gptcore.bpe import GPT2_PATTERN, MAX_TOKENS, TokenizerError, shortened
from gptcore.formats.gguf_file import GgufFile
from gptcore.formats.hf_tokenizer import from_json
from gptcore.formats.imported_tokenizer import CHAT_TEMPLATE
from gptcore.formats.tokenizer_stages import PORTABLE_GPT2
from gptcore.tokenizer import Tokenizer

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS: dict[str, tuple[str, ...]] = {
    "gpt-2": (GPT2_PATTERN,),
    "smollm": (r"\p{N}", GPT2_PATTERN),
    "llama-bpe": (_LLAMA3,),
    "smaug-bpe": (_LLAMA3,),
    "qwen2": (_QWEN2,),
    "gpt-4o": (_GPT4O,),
    "falcon": (r"[\p{P}\$\+<=>\^~\|`]+", GPT2_PATTERN, "[0-9][0-9][0-9]"),
    "default": (r"[\p{P}\$\+<=>\^~\|]+", GPT2_PATTERN, r"\p{N}+", "[0-9][0-9][0-9]"),
}
"""llama.cpp's names of ways to cut text, each with its patterns, applied one after another."""

_ALIASES = {
    "gpt-2": ("phi-2", "mpt", "olmo", "jais", "gigachat", "roberta-bpe", "exaone4", "granite-docling"),
    "smollm": ("starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"),
    "llama-bpe": ("llama3", "llama-v3", "falcon3", "pixtral", "lfm2"),
    "smaug-bpe": ("dbrx",),
    "qwen2": ("deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan"),
    "gpt-4o": ("llama4",),
}
_NAMES = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)} | {
    name: name for name in PATTERNS
}
WHOLE_TOKENS = "llama-bpe"  # the one name under which a piece that is a token is not merged
LONGEST_TOKEN = 512  # characters, of a token that scores make
_TYPES = gguf.TokenType
_KEY = "tokenizer.ggml."


def read_tokenizer(file: GgufFile) -> Tokenizer | None:
    """Return a file's tokenizer, None where it holds none; raises TokenizerError for one of another kind."""
    kind = file.metadata.get(_KEY + "model")
    if kind in (None, "none", "no_vocab"):
        return None
    if kind not in ("gpt2", "llama"):
        raise TokenizerError(
            f"{file.path} has a tokenizer of the kind {shortened(kind)}; Glassbox reads gpt2 and llama, "
            "which are byte-pair encodings."
        )
    read = _Vocabulary(file)
    content = _byte_level(read) if kind == "gpt2" else _sentencepiece(read)
    content |= {"version": "1.0", "added_tokens": read.added_tokens()}
    if isinstance(template := file.metadata.get("tokenizer.chat_template"), str):
        content[CHAT_TEMPLATE] = template
    if read.adds_start(kind):
        content["post_processor"] = start_with(read.tokens[read.id_of("bos")], read.id_of("bos"))
    ends = [read.id_of(end) for end in ("eos", "eot", "eom")]
    return from_json(content, str(file.path), end_of_text=[end for end in ends if end is not None])


class _Vocabulary:
    """The tokens of a file, with their types and scores."""

    def __init__(self, file: GgufFile) -> None:
        self.file = file
        self.tokens: list[str] = self._list("tokens", list, None)
        if not 0 < len(self.tokens) <= MAX_TOKENS:
            raise TokenizerError(
                f"{file.path} holds {len(self.tokens):,} tokens; {MAX_TOKENS:,} are the most."
            )
        self.types = self._list("token_type", np.ndarray, np.ones(len(self.tokens))).tolist()
        self.scores = self._list("scores", np.ndarray, np.zeros(len(self.tokens))).tolist()
        if not len(self.types) == len(self.scores) == len(self.tokens):
            raise TokenizerError(f"{file.path} is damaged: not every token has its type and its score.")

    def _list(self, name: str, kind: type, default: Any) -> Any:
        value = self.file.metadata.get(_KEY + name, default)
        if not isinstance(value, kind):
            raise TokenizerError(f"{self.file.path} is damaged: {_KEY}{name} is no list of the right kind.")
        return value

    @property
    def merges(self) -> list[str]:
        return self._list("merges", list, None)

    def vocabulary(self) -> dict[str, int]:
        """Return the ids by token; of tokens with the same text the first has it."""
        return {token: i for i, token in reversed(list(enumerate(self.tokens)))}

    def added_tokens(self) -> list[dict[str, Any]]:
        """Return the tokens that are found in the text itself: special ones, and those that its makers added."""
        special = (_TYPES.CONTROL, _TYPES.UNKNOWN)
        vocabulary = self.vocabulary()
        return [
            {"id": i, "content": token, "special": kind in special, "normalized": False}
            for i, (token, kind) in enumerate(zip(self.tokens, self.types, strict=True))
            if kind in (*special, _TYPES.USER_DEFINED) and vocabulary[token] == i and token
        ]

    def id_of(self, what: str) -> int | None:
        token_id = self.file.metadata.get(f"{_KEY}{what}_token_id")
        return token_id if type(token_id) is int and token_id < len(self.tokens) else None

    def flag(self, name: str, default: bool) -> bool:
        value = self.file.metadata.get(_KEY + name, default)
        return value if isinstance(value, bool) else default

    def pre(self) -> str:
        """Return llama.cpp's name of the way to cut text."""
        named = self.file.metadata.get(_KEY + "pre", "default")
        if named not in _NAMES:
            raise TokenizerError(
                f"{self.file.path} cuts text as {shortened(named)} does; known are {', '.join(sorted(_NAMES))}."
            )
        return _NAMES[named]

    def adds_start(self, kind: str) -> bool:
        """Return whether texts start with a token."""
        usual = kind == "llama" or self.pre() == WHOLE_TOKENS
        return self.id_of("bos") is not None and self.flag("add_bos_token", usual)


def start_with(token: str, token_id: int) -> dict[str, Any]:
    """Return the post-processor that puts a token before each text."""
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [token_id], "tokens": [token]}},
    }


def _byte_level(read: _Vocabulary) -> dict[str, Any]:
    pre = read.pre()
    return {
        "normalizer": None,
        "pre_tokenizer": _cuts(PATTERNS[pre]),
        "post_processor": None,
        "decoder": _spelled(use_regex=True),
        "model": {
            "type": "BPE",
            "ignore_merges": pre == WHOLE_TOKENS,
            "vocab": read.vocabulary(),
            "merges": read.merges,
        },
    }


def _spelled(use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def _cuts(patterns: Sequence[str]) -> dict[str, Any]:
    """Return the pre-tokenizer with these patterns; GPT-2's, where it is the last, is built into ByteLevel."""
    *first, last = patterns
    at_end = [_spelled(use_regex=True)] if last == GPT2_PATTERN else [_split(last), _spelled(use_regex=False)]
    stages = [*map(_split, first), *at_end]
    return stages[0] if len(stages) == 1 else {"type": "Sequence", "pretokenizers": stages}


def _split(pattern: str) -> dict[str, Any]:
    portable = PORTABLE_GPT2 if pattern == GPT2_PATTERN else pattern
    return {"type": "Split", "pattern": {"Regex": portable}, "behavior": "Isolated", "invert": False}


def _sentencepiece(read: _Vocabulary) -> dict[str, Any]:
    marks = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    prefix = read.flag("add_space_prefix", True)
    normalizers = [{"type": "Prepend", "prepend": "▁"}, marks] if prefix else [marks]
    decoders = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    unknown = read.id_of("unknown")
    return {
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [*decoders, strip] if prefix else decoders},
        "model": {
            "type": "BPE",
            "byte_fallback": True,
            "fuse_unk": True,
            "unk_token": None if unknown is None else read.tokens[unknown],
            "vocab": read.vocabulary(),
            "merges": list(_merges_by_score(read)),
        },
    }


def _merges_by_score(read: _Vocabulary) -> Iterable[list[str]]:
    """Yield every pair of tokens that makes a token, the highest score first: what SentencePiece merges.

    Raises TokenizerError for a token too long for that.
    """
    kinds = (_TYPES.NORMAL, _TYPES.USER_DEFINED)
    scores: Mapping[str, float] = {
        token: score
        for token, kind, score in zip(read.tokens, read.types, read.scores, strict=True)
        if kind in kinds
    }
    for token in sorted(scores, key=scores.__getitem__, reverse=True):
        if len(token) > LONGEST_TOKEN:
            raise TokenizerError(
                f"{read.file.path} is damaged: it holds a token of {len(token):,} characters."
            )
        for cut in range(1, len(token)):
            if token[:cut] in scores and token[cut:] in scores:
                yield [token[:cut], token[cut:]]
