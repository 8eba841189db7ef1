r"""The `tokenizer.json` of Hugging Face's `tokenizers`: ours written that way, and others' byte-level BPE read.

A byte-level vocabulary is the same thing everywhere: bytes, merges in order, a pattern that cuts the text
first. Files differ in the pattern (or several, one after another), in which ids the tokens have, and in how
merges are told: Llama 3 lists every pair that makes a token, Qwen brings text to Unicode's NFC first.

JSON cannot hold bytes, so each byte is spelled with a sign of its own (GPT-2's table, Radford et al. 2019):

>>> spell(b" the"), spell("é".encode())
('Ġthe', 'Ã©')
>>> unspell("Ġthe")
b' the'
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import regex

from gptcore.bpe import (
    BYTE_ORDER,
    GPT2_PATTERN,
    MAX_TOKENS,
    TokenizerError,
    compile_pattern,
    cut_texts,
    replace_surrogates,
    replay_merges,
    shortened,
)
from gptcore.tokenizer import EOT, Merge, Tokenizer, check_special_tokens, read_file

END_OF_TEXT = "glassbox_end_of_text"  # our own key in a file, beside theirs: the id that ends a document

_N_VISIBLE = BYTE_ORDER.index(0)  # visible bytes come first and stand for themselves
_SIGNS = {
    byte: chr(byte if rank < _N_VISIBLE else 256 + rank - _N_VISIBLE) for rank, byte in enumerate(BYTE_ORDER)
}
_BYTES = {sign: byte for byte, sign in _SIGNS.items()}

# The pieces GPT-2's pattern cuts, in the spelling of `regex`'s peers: they read our possessive `\s++$` as the
# end of a line.
_PORTABLE_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

MAX_STAGES = 16  # normalizers, and cuts one after another; the files in use have up to five
CACHED_PIECES = 1 << 16
LONGEST_CACHED = 1000  # bytes

# Bytes that occur in UTF-8; a vocabulary without one of them has no way to write some text.
_NEEDED_BYTES = frozenset(range(0xF5)) - {0xC0, 0xC1}


def sentencepiece(name: object) -> TokenizerError:
    """Return the error for the kind of tokenizer that is met most often and is not byte-level."""
    return TokenizerError(
        f"{name} is a SentencePiece tokenizer, as Llama 1 and 2 and the first Mistral have; Glassbox reads "
        "byte-level BPE only, as Llama 3, Qwen and GPT-2 have."
    )


def bytes_to_unicode(token: bytes) -> str:
    """Write bytes as `tokenizers` does, each as one visible sign."""
    return "".join(map(_SIGNS.__getitem__, token))


def unicode_to_bytes(text: str) -> bytes:
    """Return the bytes that a spelled token stands for; KeyError where a sign is none of the 256."""
    return bytes(map(_BYTES.__getitem__, text))


def to_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what `tokenizers` reads from a `tokenizer.json`: the same ids for every text.

    Their reader takes the text of a special token for the token, as `encode(…, allow_special=True)` does.
    """
    if isinstance(tokenizer, ImportedTokenizer):
        return {key: value for key, value in tokenizer.content.items() if key != END_OF_TEXT}
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


def load_hf_tokenizer(path: str | Path, *, end_of_text: int | str | None = None) -> Tokenizer:
    """Return the tokenizer of a `tokenizer.json`; `end_of_text` is the token, or its id, that ends a document.

    Raises TokenizerError, naming the part, for what is not byte-level BPE or does what ours does not.
    """
    return from_json(read_file(path), str(path), end_of_text=end_of_text)


def from_json(content: Any, name: str, *, end_of_text: int | str | None = None) -> Tokenizer:
    """Return the tokenizer that a `tokenizer.json` describes; `name` is what messages call it.

    Raises TokenizerError, and nothing else, for any other content.
    """
    try:
        tokenizer = ImportedTokenizer(content, name, end_of_text)
        return tokenizer.to_tokenizer() or tokenizer
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        if isinstance(error, TokenizerError):
            raise
        raise TokenizerError(f"{name} is damaged: its vocabulary or merges are not as saved.") from error


class ImportedTokenizer(Tokenizer):
    """A byte-level BPE from somewhere else, with its own ids, pattern and special tokens.

    The ids are those of `tokenizers`, up to letters and digits that one of the two knows from a newer Unicode.
    Nothing in it changes after it is made.
    """

    def __init__(self, content: Any, name: str, end_of_text: int | str | None = None) -> None:
        """Read a `tokenizer.json`'s content; raises TokenizerError naming what is not supported."""
        self.content, self.name = content, name
        model = content["model"]
        self._check_model(model)
        self._forms = _forms(content.get("normalizer"), name)
        self._cuts = _cuts(content.get("pre_tokenizer"), name)
        self.pattern = "|".join(cut.pattern for cut, _ in self._cuts)
        self.special_tokens = _special_tokens(content.get("added_tokens") or [], name)
        vocabulary = model["vocab"]
        self.ranks = {}
        for text, token_id in vocabulary.items():
            try:
                self.ranks[unicode_to_bytes(text)] = token_id
            except KeyError:
                if text not in self.special_tokens:
                    raise TokenizerError(
                        f"{name} is not byte-level: it holds the token {shortened(text)}."
                    ) from None
        lacking = _NEEDED_BYTES - {token[0] for token in self.ranks if len(token) == 1}
        if lacking:
            raise TokenizerError(f"{name} lacks {len(lacking)} of the bytes that text is made of.")
        _check_ids(vocabulary, self.special_tokens, name)
        self._bytes = {token_id: token for token, token_id in self.ranks.items()}
        self._bytes |= {token_id: text.encode() for text, token_id in self.special_tokens.items()}
        self.vocab_size = max(self._bytes) + 1
        self._rules = _rules(model["merges"], vocabulary)
        self._whole_first = bool(model.get("ignore_merges"))
        self._end_of_text = self._find_end(content.get(END_OF_TEXT) if end_of_text is None else end_of_text)
        self._cached_ids = lru_cache(CACHED_PIECES)(self._merge)

    def _check_model(self, model: Mapping[str, Any]) -> None:
        if not model:
            raise TokenizerError(f"{self.name} is not a tokenizer file: it holds no model.")
        kind = model.get("type") or ("BPE" if "merges" in model else None)
        sign_of_sentencepiece = model.get("byte_fallback") or "▁" in model.get("vocab", ())
        if kind == "Unigram" or (kind == "BPE" and sign_of_sentencepiece):
            raise sentencepiece(self.name)
        if kind != "BPE":
            raise TokenizerError(
                f"{self.name} is of type {shortened(kind)}; Glassbox reads byte-level BPE only."
            )
        for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
            if model.get(option):
                raise TokenizerError(f"{self.name}: {option}={shortened(model[option])} is not supported.")
        if not isinstance(model.get("vocab"), dict):
            raise TokenizerError(f"{self.name} is damaged: it has no vocabulary.")

    def _find_end(self, token: int | str | None) -> int | None:
        if isinstance(token, str):
            token = self.special_tokens.get(token)
        known = type(token) is int and token in self._bytes
        return token if known else self.special_tokens.get(EOT)

    @property
    def eot_id(self) -> int:
        """The id of the token that ends a document."""
        if self._end_of_text is None:
            raise TokenizerError(f"{self.name} names no token that ends a text.")
        return self._end_of_text

    def to_tokenizer(self) -> Tokenizer | None:
        """Return the plain Tokenizer with these ids, or None where the file says more than that one can."""
        n_bytes, n_merges = len(BYTE_ORDER), len(self._rules)
        plain = (
            not self._forms and not self._whole_first and self._end_of_text == self.special_tokens.get(EOT)
        )
        if not plain or [cut.pattern for cut, _ in self._cuts] != [GPT2_PATTERN]:
            return None
        if [new for _, new in self._rules.values()] != list(range(n_bytes, n_bytes + n_merges)):
            return None
        if [self.ranks.get(bytes([byte])) for byte in BYTE_ORDER] != list(range(n_bytes)):
            return None
        ordinary = set(self._bytes) - set(self.special_tokens.values())
        if ordinary != set(range(n_bytes + n_merges)):
            return None
        return Tokenizer(list(self._rules), special_tokens=self.special_tokens)

    @cached_property
    def merges(self) -> tuple[Merge, ...]:
        """All merges in the order of the file; a token that several pairs make is there several times."""
        return tuple(
            Merge(left=left, right=right, id=new, bytes=self._bytes[new], count=None)
            for (left, right), (_, new) in self._rules.items()
        )

    def pieces(self, text: str) -> list[str]:
        """Bring text to the tokenizer's Unicode form and cut it where its patterns cut it."""
        text = replace_surrogates(text)
        for form in self._forms:
            text = unicodedata.normalize(form, text)
        return self._cut_text(text)

    def _cut_text(self, text: str) -> list[str]:
        pieces = [text] if text else []
        for cut, only_matches in self._cuts:
            pieces = list(cut_texts(cut, pieces, only_matches=only_matches))
        return pieces

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Turn text into the ids of `tokenizers`; special tokens as in `Tokenizer.encode`."""
        if allow_special and self.special_tokens:
            return super().encode(text, allow_special=True)
        return self.encode_slowly(text)

    def encode_slowly(self, text: str) -> list[int]:
        """Encode by replaying the merges; for an imported tokenizer there is no other way."""
        return [token_id for piece in self.pieces(text) for token_id in self._ids_of_piece(piece.encode())]

    def encode_bytes(self, data: bytes) -> list[int]:
        """Turn any bytes into token ids; bytes that are UTF-8 get the ids of their text."""
        try:
            return self.encode(data.decode("utf-8"))
        except UnicodeDecodeError:
            pieces = self._cut_text(data.decode("utf-8", "surrogateescape"))
            encoded = (piece.encode("utf-8", "surrogateescape") for piece in pieces)
            return [token_id for piece in encoded for token_id in self._ids_of_piece(piece)]

    def _ids_of_piece(self, piece: bytes) -> tuple[int, ...]:
        return self._merge(piece) if len(piece) > LONGEST_CACHED else self._cached_ids(piece)

    def _merge(self, piece: bytes) -> tuple[int, ...]:
        if self._whole_first and piece in self.ranks:
            return (self.ranks[piece],)
        try:
            ids = [self.ranks[bytes([byte])] for byte in piece]
        except KeyError as error:
            raise TokenizerError(
                f"{self.name} has no token for the byte {error.args[0]!r}: it encodes whole text only."
            ) from error
        return tuple(replay_merges(ids, self._rules))

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token stands for; none for an id that the model has and the tokenizer does not."""
        return self._bytes.get(int(token_id), b"")

    def first(self, n_merges: int) -> Tokenizer:
        raise TokenizerError("Only a tokenizer made here can be taken back to fewer merges.")

    def to_tiktoken(self):
        raise TokenizerError("tiktoken can't hold an imported tokenizer: use encode.")

    def save(self, path: str | Path) -> None:
        """Write the tokenizer as it was read, and which token ends a document."""
        content = self.content | {END_OF_TEXT: self._end_of_text}
        try:
            Path(path).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise TokenizerError(f"The tokenizer can't be written to {path}: {error.strerror}.") from error


def _special_tokens(added: list[Mapping[str, Any]], name: str) -> dict[str, int]:
    """Return the added tokens that have a text, by their text."""
    if not isinstance(added, list):
        raise TokenizerError(f"{name} is damaged: its added_tokens are no list.")
    special_tokens = {}
    for token in added:
        text = token["content"]
        if not isinstance(text, str):
            raise TokenizerError(f"{name} is damaged: the special token {shortened(text)} is no text.")
        for option in ("single_word", "lstrip", "rstrip"):
            if token.get(option):
                raise TokenizerError(f"{name}: {option}=true of {shortened(text)} is not supported.")
        if text and special_tokens.setdefault(text, _checked_id(token["id"], name)) != token["id"]:
            raise TokenizerError(f"{name} is damaged: it gives {shortened(text)} two ids.")
    try:
        check_special_tokens(special_tokens)
    except TokenizerError as error:
        raise TokenizerError(f"{name} is damaged: {error}") from error
    return special_tokens


def _check_ids(vocabulary: Mapping[str, int], special_tokens: Mapping[str, int], name: str) -> None:
    """Raise TokenizerError unless every token has one id of its own, the special tokens included."""
    text_of: dict[int, str] = {}
    for text, token_id in [*vocabulary.items(), *special_tokens.items()]:
        if text_of.setdefault(_checked_id(token_id, name), text) != text:
            raise TokenizerError(
                f"{name} is damaged: {shortened(text_of[token_id])} and {shortened(text)} have the same id."
            )
    if len(text_of) > len(vocabulary.keys() | special_tokens.keys()):
        raise TokenizerError(f"{name} is damaged: a special token has another id in its vocabulary.")


def _checked_id(token_id: object, name: str) -> int:
    if type(token_id) is not int or token_id >= MAX_TOKENS:
        raise TokenizerError(
            f"{name} is damaged: the id {shortened(token_id)} is not a whole number below {MAX_TOKENS:,}."
        )
    if token_id < 0:
        raise TokenizerError(f"{name} is damaged: the id {shortened(token_id)} is below 0.")
    return token_id


def _rules(
    merges: list[str] | list[list[str]], vocabulary: Mapping[str, int]
) -> dict[tuple[int, int], tuple[int, int]]:
    rules = {}
    for rank, merge in enumerate(merges):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        rules[vocabulary[left], vocabulary[right]] = (rank, vocabulary[left + right])
    return rules


def _forms(normalizer: Mapping[str, Any] | None, name: str) -> list[str]:
    """Return the Unicode forms text is brought to, one after another."""
    if normalizer is None:
        return []
    kind = normalizer["type"]
    if kind == "Sequence":
        forms = [form for part in normalizer["normalizers"] for form in _forms(part, name)]
        if len(forms) > MAX_STAGES:
            raise TokenizerError(f"{name} normalizes text {len(forms):,} times; once is enough.")
        return forms
    if kind in ("NFC", "NFD", "NFKC", "NFKD"):
        return [kind]
    if kind in ("Prepend", "Replace", "Precompiled"):
        raise sentencepiece(name)
    raise TokenizerError(f"{name}: the normalizer {shortened(kind)} is not supported.")


def _cuts(pre_tokenizer: Mapping[str, Any] | None, name: str) -> list[tuple[regex.Pattern, bool]]:
    """Return the patterns that cut text one after another, each with whether only its matches are kept."""
    stages = _flat(pre_tokenizer)
    if len(stages) > MAX_STAGES:
        raise TokenizerError(f"{name} cuts text {len(stages):,} times; the files in use do so five times.")
    if any(stage["type"] == "Metaspace" for stage in stages):
        raise sentencepiece(name)
    if [stage["type"] for stage in stages].count("ByteLevel") != 1 or stages[-1]["type"] != "ByteLevel":
        raise TokenizerError(f"{name} is not byte-level; Glassbox reads byte-level BPE only.")
    cuts = []
    for stage in stages:
        if stage["type"] == "ByteLevel":
            if stage.get("add_prefix_space", True):
                raise TokenizerError(f"{name}: add_prefix_space=true is not supported.")
            if stage.get("use_regex", True):
                cuts.append((_compile(GPT2_PATTERN, name), False))
        elif stage["type"] == "Digits":
            cuts.append((_compile(r"\p{N}" if stage.get("individual_digits") else r"\p{N}+", name), False))
        elif stage["type"] == "Split":
            cuts.append(_split(stage, name))
        else:
            raise TokenizerError(f"{name}: the pre-tokenizer {shortened(stage['type'])} is not supported.")
    return cuts


def _flat(pre_tokenizer: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if pre_tokenizer is None:
        return [{"type": None}]
    if pre_tokenizer["type"] == "Sequence":
        return [stage for part in pre_tokenizer["pretokenizers"] for stage in _flat(part)]
    return [pre_tokenizer]


def _split(stage: Mapping[str, Any], name: str) -> tuple[regex.Pattern, bool]:
    ((kind, text),) = stage["pattern"].items()
    pattern = regex.escape(text) if kind == "String" else text
    behavior, inverted = stage["behavior"], bool(stage.get("invert"))
    if behavior == "Isolated":  # matches and what stands between them are pieces alike
        return _compile(pattern, name), False
    if behavior == "Removed" and inverted:
        return _compile(pattern, name), True
    raise TokenizerError(f"{name}: a Split with behavior={shortened(behavior)} is not supported.")


def _compile(pattern: str, name: str) -> regex.Pattern:
    if pattern == _PORTABLE_GPT2:
        pattern = GPT2_PATTERN
    try:  # their engine reads ^ and $ line by line
        return compile_pattern(pattern, 0 if pattern == GPT2_PATTERN else regex.MULTILINE)
    except TokenizerError as error:
        raise TokenizerError(f"{name}: {error}") from error
