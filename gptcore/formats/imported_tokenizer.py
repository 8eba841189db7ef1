"""A byte-pair encoding from somewhere else, with its own ids, cuts and special tokens.

Two kinds are in use, and the merges are the same in both. Byte-level ones (GPT-2, Llama 3, Qwen) spell every byte as
a visible character, so that merges join bytes. SentencePiece's (Llama 2, Gemma) join characters, write ▁ for a space,
and fall back to the tokens `<0x00>` … `<0xFF>` for the bytes of a character that the vocabulary lacks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from itertools import pairwise
from operator import add
from pathlib import Path
from typing import Any

import regex

from gptcore.bpe import BYTE_ORDER, GPT2_PATTERN, TokenizerError, replace_surrogates, replay_merges, shortened
from gptcore.formats.added_tokens import AddedTokens, checked_id, read_added_tokens
from gptcore.formats.byte_spelling import bytes_to_unicode, unicode_to_bytes
from gptcore.formats.tokenizer_stages import prepend_scheme, read_normalizers, read_pre_tokenizer, steps
from gptcore.tokenizer import EOT, Merge, Tokenizer

END_OF_TEXT = "glassbox_end_of_text"  # our own key in a file, beside theirs: the ids that end a text
CHAT_TEMPLATE = "glassbox_chat_template"  # likewise: a Jinja template that writes a conversation as text
END_TOKENS = (
    EOT,
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<|end▁of▁sentence|>",
    "<｜end▁of▁sentence｜>",
    "[EOS]",
)
"""What tokens that end a document are called, for files that do not say which of theirs it is."""

Ends = int | str | Iterable[int | str] | None

CACHED_PIECES = 1 << 16
LONGEST_CACHED = 1000  # characters
CACHED_PAIRS = 1 << 18
_BYTE_TOKEN = regex.compile("<0x([0-9A-F]{2})>")
_MARK = "▁"  # SentencePiece's sign for a space


class ImportedTokenizer(Tokenizer):
    """A byte-pair encoding read from the content of a `tokenizer.json`.

    The ids are those of `tokenizers`, up to letters and digits that one of the two knows from a newer Unicode.
    Nothing in it changes after it is made.
    """

    def __init__(self, content: Any, name: str, end_of_text: Ends = None) -> None:
        """Read a `tokenizer.json`'s content; raises TokenizerError naming what is not supported."""
        self.content, self.name = content, name
        model = content["model"]
        self._check_model(model)
        self._normalizers = read_normalizers(content.get("normalizer"), name)
        self._pre_tokenizer = read_pre_tokenizer(content.get("pre_tokenizer"), name)
        self.pattern = self._pre_tokenizer.pattern
        added = read_added_tokens(content.get("added_tokens") or [], name)
        self._added = AddedTokens(added, self._normalizers)
        self._always_parsed = any(not token.special for token in added)
        self.special_tokens = {token.text: token.id for token in added}
        self._vocabulary: dict[str, int] = model["vocab"]
        _check_ids(self._vocabulary, self.special_tokens, name)
        self._bytes = self._read_bytes(model)
        self.ranks = {}
        for text, token_id in self._vocabulary.items():
            if text not in self.special_tokens:
                self.ranks.setdefault(self._bytes[token_id], token_id)
        self.vocab_size = max(self._bytes, default=-1) + 1
        names = {token.text for token in added if token.special}
        self._ordinary = {text: i for text, i in self._vocabulary.items() if text not in names}
        self._rules = _rules(model["merges"], self._vocabulary)
        self._whole_first = bool(model.get("ignore_merges"))
        self._unknown, self._fuses_unknown = (
            self._vocabulary.get(model.get("unk_token")),
            model.get("fuse_unk"),
        )
        byte_tokens = map("<0x{:02X}>".format, range(256)) if model.get("byte_fallback") else ()
        self._byte_ids = [self._vocabulary.get(token) for token in byte_tokens]
        self._starts = self._read_starts(content.get("post_processor"))
        self._drops_space = _drops_space(content.get("decoder"))
        self._ends = self._find_ends(content.get(END_OF_TEXT) if end_of_text is None else end_of_text)
        self._cached_ids = lru_cache(CACHED_PIECES)(self._merge)
        self._joined = lru_cache(CACHED_PAIRS)(self._may_join)

    def _check_model(self, model: Mapping[str, Any]) -> None:
        if not model:
            raise TokenizerError(f"{self.name} is not a tokenizer file: it contains no model.")
        kind = model.get("type") or ("BPE" if "merges" in model else None)
        if kind != "BPE":
            raise TokenizerError(
                f"{self.name} is of type {shortened(kind)}; Glassbox reads only byte-pair encoding (BPE)."
            )
        for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
            if model.get(option):
                raise TokenizerError(f"{self.name}: {option}={shortened(model[option])} is not supported.")
        if not isinstance(model.get("vocab"), dict):
            raise TokenizerError(f"{self.name} is damaged: it has no vocabulary.")

    def _read_bytes(self, model: Mapping[str, Any]) -> dict[int, bytes]:
        """Return the bytes that each id stands for."""
        to_bytes = self._spelled_bytes if self._pre_tokenizer.byte_level else _marked_bytes(model)
        known = self._vocabulary.items()
        tokens = {token_id: to_bytes(text) for text, token_id in known if text not in self.special_tokens}
        return tokens | {token_id: text.encode() for text, token_id in self.special_tokens.items()}

    def _spelled_bytes(self, text: str) -> bytes:
        try:
            return unicode_to_bytes(text)
        except KeyError:
            raise TokenizerError(
                f"{self.name} must be byte-level, and it contains the token {shortened(text)}."
            ) from None

    def _read_starts(self, part: Mapping[str, Any] | None) -> tuple[int, ...]:
        """Return the ids that a post-processor puts before a text."""
        if part is None or part["type"] == "ByteLevel":
            return ()
        if part["type"] == "Sequence":
            return tuple(start for inner in part["processors"] for start in self._read_starts(inner))
        if part["type"] != "TemplateProcessing":
            raise TokenizerError(
                f"{self.name}: the post-processor {shortened(part['type'])} is not supported."
            )
        starts: list[int] = []
        for step in part["single"]:
            if "SpecialToken" not in step:
                break
            starts += part["special_tokens"][step["SpecialToken"]["id"]]["ids"]
        if any(type(start) is not int or start not in self._bytes for start in starts):
            raise TokenizerError(
                f"{self.name} is damaged: it starts texts with a token that it does not have."
            )
        return tuple(starts)

    def _find_ends(self, tokens: Ends) -> tuple[int, ...]:
        """Return the ids that end a text: those named, or else the token that has the usual name."""
        named = [tokens] if isinstance(tokens, int | str) else list(tokens or ())
        ids = [self.special_tokens.get(token) if isinstance(token, str) else token for token in named]
        known = tuple(dict.fromkeys(i for i in ids if type(i) is int and i in self._bytes))
        usual = (self.special_tokens[text] for text in END_TOKENS if text in self.special_tokens)
        return known or tuple(usual)[:1]

    @property
    def eot_id(self) -> int:
        """The id of the token that ends a document."""
        if not self._ends:
            raise TokenizerError(
                f"{self.name} does not name an end-of-text token; put a tokenizer_config.json with its "
                "eos_token in the same folder."
            )
        return self._ends[0]

    @property
    def start_ids(self) -> tuple[int, ...]:
        """The ids that start every text, as the file's post-processor says."""
        return self._starts

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The ids at which generation ends."""
        return self._ends

    @property
    def chat_template(self) -> str | None:
        """The Jinja template that writes a conversation as text, where the model came with one."""
        template = self.content.get(CHAT_TEMPLATE)
        return template if isinstance(template, str) else None

    @property
    def is_byte_level(self) -> bool:
        """Whether its merges join bytes, not characters."""
        return self._pre_tokenizer.byte_level

    @property
    def normalizer_parts(self) -> list[Mapping[str, Any]]:
        """What is done to text before it is cut, as the file's own entries, one after another."""
        return steps(self.content.get("normalizer"), "normalizers")

    def to_tokenizer(self) -> Tokenizer | None:
        """Return the plain Tokenizer with these ids, or None where the file says more than that one can."""
        n_bytes, n_merges = len(BYTE_ORDER), len(self._rules)
        usual_end = (self.special_tokens[EOT],) if EOT in self.special_tokens else ()
        more = (
            self._normalizers
            or self._whole_first
            or self._starts
            or self._always_parsed
            or self.chat_template
        )
        if more or self._ends != usual_end or self._unknown is not None:
            return None
        if not self._pre_tokenizer.byte_level or len(self._pre_tokenizer.cuts) != 1:
            return None
        if self.pattern != GPT2_PATTERN or self.content["pre_tokenizer"].get("add_prefix_space"):
            return None
        if any(
            token.get("lstrip") or token.get("rstrip") or token.get("single_word") for token in self._entries
        ):
            return None
        if [new for _, new in self._rules.values()] != list(range(n_bytes, n_bytes + n_merges)):
            return None
        if [self.ranks.get(bytes([byte])) for byte in BYTE_ORDER] != list(range(n_bytes)):
            return None
        ordinary = set(self._bytes) - set(self.special_tokens.values())
        if ordinary != set(range(n_bytes + n_merges)):
            return None
        return Tokenizer(list(self._rules), special_tokens=self.special_tokens)

    @property
    def _entries(self) -> list[Mapping[str, Any]]:
        return self.content.get("added_tokens") or []

    @cached_property
    def merges(self) -> tuple[Merge, ...]:
        """All merges in the order of the file; a token that several pairs make is there several times."""
        return tuple(
            Merge(left=left, right=right, id=new, bytes=self._bytes[new], count=None)
            for (left, right), (_, new) in self._rules.items()
        )

    def pieces(self, text: str) -> list[str]:
        """Bring text to the tokenizer's form and cut it; an added token that is always found is a piece too."""
        return [piece for piece, _ in self._pieces(replace_surrogates(text), specials=False)]

    def _pieces(self, text: str, specials: bool) -> Iterator[tuple[str, int | None]]:
        """Yield the pieces of a text, each with its id where it is an added token."""
        for section, token_id, at_start in self._added.sections(text, specials):
            if token_id is not None:
                yield section, token_id
                continue
            pieces = [section] if section else []
            for cut in self._pre_tokenizer.cuts:
                pieces = cut(pieces, at_start)
            for piece in pieces:
                yield piece, None

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Turn text into the ids of `tokenizers`; special tokens as in `Tokenizer.encode`.

        What the vocabulary has no token for is encoded as the file says: by the tokens of its bytes, by the
        unknown token, or not at all.
        """
        return self._encode(replace_surrogates(text), allow_special)

    def encode_slowly(self, text: str) -> list[int]:
        """Encode by replaying the merges; for an imported tokenizer there is no other way."""
        return self.encode(text)

    def encode_bytes(self, data: bytes) -> list[int]:
        """Turn any bytes into token ids; bytes that are UTF-8 get the ids of their text."""
        return self._encode(data.decode("utf-8", "surrogateescape"), specials=False)

    def _encode(self, text: str, specials: bool) -> list[int]:
        ids: list[int] = []
        for piece, token_id in self._pieces(text, specials):
            if token_id is not None:
                ids.append(token_id)
            else:
                ids += self._ids_of_piece(piece)
        return ids

    def _ids_of_piece(self, piece: str) -> Iterable[int]:
        if self.is_byte_level or len(piece) == 1:
            return self._ids_of_part(piece)
        return [token_id for part in self._parts(piece) for token_id in self._ids_of_part(part)]

    def _ids_of_part(self, part: str) -> tuple[int, ...]:
        return self._merge(part) if len(part) > LONGEST_CACHED else self._cached_ids(part)

    def _parts(self, piece: str) -> Iterator[str]:
        """Cut a piece where no token can reach over, which changes no id: a whole text may be one piece."""
        start = 0
        for end, joined in enumerate(map(self._joined, map(add, piece, piece[1:])), 1):
            if not joined:
                yield piece[start:end]
                start = end
        yield piece[start:]

    def _may_join(self, pair: str) -> bool:
        """Return whether two characters can be side by side in a token, or one of them is in no token."""
        return pair in self._pairs_in_tokens or not (pair[0] in self._ordinary and pair[1] in self._ordinary)

    @cached_property
    def _pairs_in_tokens(self) -> frozenset[str]:
        return frozenset(left + right for token in self._vocabulary for left, right in pairwise(token))

    def _merge(self, piece: str) -> tuple[int, ...]:
        if self.is_byte_level:
            piece = bytes_to_unicode(piece.encode("utf-8", "surrogateescape"))
        if self._whole_first and piece in self._ordinary:
            return (self._ordinary[piece],)
        ids: list[int] = []
        unknown_before = False
        for character in piece:
            token_ids = self._ids_of_character(character)
            if token_ids is None and self._unknown is not None:
                ids += [] if unknown_before and self._fuses_unknown else [self._unknown]
            ids += token_ids or []
            unknown_before = token_ids is None
        return tuple(replay_merges(ids, self._rules))

    def _ids_of_character(self, character: str) -> list[int] | None:
        """Return the token of a character, or those of its bytes; None where the vocabulary has neither."""
        if character in self._ordinary:
            return [self._ordinary[character]]
        if not self._byte_ids:
            return None
        ids = [self._byte_ids[byte] for byte in character.encode("utf-8", "surrogateescape")]
        return None if None in ids else ids

    def decode(self, ids: Iterable[int], *, continues: bool = False) -> str:
        """Turn token ids back into text, as `Tokenizer.decode`."""
        text = super().decode(ids)
        return text.removeprefix(" ") if self._drops_space and not continues else text

    def first(self, n_merges: int) -> Tokenizer:
        raise TokenizerError("Only a tokenizer trained by Glassbox can be reduced to fewer merges.")

    def to_tiktoken(self):
        raise TokenizerError("tiktoken can't represent an imported tokenizer; use encode.")

    def save(self, path: str | Path) -> None:
        """Write the tokenizer as it was read, and which tokens end a text."""
        ends = self._ends[0] if len(self._ends) == 1 else list(self._ends) or None
        try:
            text = json.dumps(self.content | {END_OF_TEXT: ends}, ensure_ascii=False)
            Path(path).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise TokenizerError(f"The tokenizer can't be written to {path}: {error.strerror}.") from error


def _marked_bytes(model: Mapping[str, Any]):
    """Return what gives the bytes of SentencePiece's tokens: <0x41> is a byte, ▁ a space."""

    def to_bytes(text: str) -> bytes:
        match = _BYTE_TOKEN.fullmatch(text) if model.get("byte_fallback") else None
        return bytes([int(match[1], 16)]) if match else text.replace(_MARK, " ").encode()

    return to_bytes


def _drops_space(decoder: Mapping[str, Any] | None) -> bool:
    """Return whether decoding takes away a space at the start, which encoding has put there."""
    if decoder is None:
        return False
    if decoder["type"] == "Sequence":
        return any(map(_drops_space, decoder["decoders"]))
    strips = decoder["type"] == "Strip" and decoder.get("content") == " " and decoder.get("start", 0) > 0
    return strips or (decoder["type"] == "Metaspace" and prepend_scheme(decoder) != "never")


def _check_ids(vocabulary: Mapping[str, int], special_tokens: Mapping[str, int], name: str) -> None:
    """Raise TokenizerError unless every token has one id of its own, the special tokens included."""
    text_of: dict[int, str] = {}
    for text, token_id in [*vocabulary.items(), *special_tokens.items()]:
        if text_of.setdefault(checked_id(token_id, name), text) != text:
            raise TokenizerError(
                f"{name} is damaged: {shortened(text_of[token_id])} and {shortened(text)} have the same id."
            )
    if len(text_of) > len(vocabulary.keys() | special_tokens.keys()):
        raise TokenizerError(f"{name} is damaged: a special token has a different id in its vocabulary.")


def _rules(
    merges: list[str] | list[list[str]], vocabulary: Mapping[str, int]
) -> dict[tuple[int, int], tuple[int, int]]:
    rules = {}
    for rank, merge in enumerate(merges):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        rules[vocabulary[left], vocabulary[right]] = (rank, vocabulary[left + right])
    return rules
