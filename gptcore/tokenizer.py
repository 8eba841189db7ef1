r"""Byte-level byte-pair encoding: how text becomes the numbers a model reads.

Byte-pair encoding (BPE) starts from single bytes and merges the most frequent pair of adjacent tokens into a new
token, again and again. It does not know words; bytes that often occur together become one token. Four merges on nine
words:

>>> tokenizer = Tokenizer.train("the cat sat on the mat and the rat", vocab_size=260, special_tokens=())
>>> for merge in tokenizer.merges:
...     left, right = tokenizer.token_text(merge.left), tokenizer.token_text(merge.right)
...     print(f"{left!r} + {right!r} occurred {merge.count} times: token {merge.id}")
'a' + 't' occurred 4 times: token 256
'h' + 'e' occurred 3 times: token 257
't' + 'he' occurred 3 times: token 258
' ' + 'the' occurred 2 times: token 259
>>> tokenizer.encode("the mat")
[258, 220, 76, 256]
>>> [tokenizer.token_text(i) for i in tokenizer.encode("the mat")]
['the', ' ', 'm', 'at']

There are three rules. The text is first split into pre-tokens (a word with the space before it, a number,
punctuation), and no token crosses their boundaries. The pair with the highest count is merged; of equal counts, the
pair with the smallest ids (above, `t` + `h` also occurred 3 times). And the 256 single bytes are the first 256
tokens, so that no text in any language, and no emoji, is ever outside the vocabulary:

>>> [tokenizer.token_text(i) for i in tokenizer.encode("é")]
['\\xC3', '\\xA9']
>>> tokenizer.decode(tokenizer.encode("é"))
'é'

Encoding replays the merges in the order in which they were learned (`Tokenizer.encode_slowly`, a few
lines). `Tokenizer.encode` gives the same ids through tiktoken, which is compiled and many times faster.

Source: Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units" (2016);
on bytes instead of characters since Radford et al., GPT-2 (2019).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import regex
import tiktoken

from gptcore.bpe import (
    BYTE_ORDER,
    GPT2_PATTERN,
    KNOWN_PATTERNS,
    TokenizerError,
    check_special_tokens,
    compile_pattern,
    count_pre_tokens,
    cut_texts,
    learn_merges,
    make_tokens,
    merge_piece,
    pairs_from_ranks,
    replace_surrogates,
    replay_merges,
    shortened,
    split_otherwise,
)
from gptcore.files import read_bounded_json

EOT = "<|endoftext|>"
"""The special token that stands between two documents."""

FILE_FORMAT = "glassbox-tokenizer"
FILE_VERSION = 1

MAX_FILE_BYTES = 1 << 26  # twice the largest tokenizer.json in use
MAX_FILE_VALUES = 1 << 22  # commas and brackets: 64 MB of [] would take 1.4 GB of memory

# On a million white-space characters in a row tiktoken's pattern engine runs out of its stack, with the known
# patterns on nothing else. A run that long covers a whole block of this size, wherever it starts.
_WHITE_SPACE_BLOCK = 400_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Merge:
    """One learned rule: replace adjacent `left` and `right` with `id`."""

    left: int
    right: int
    id: int
    bytes: bytes
    count: int | None  # how often the pair occurred in the training text; None if unknown


class Tokenizer:
    """A vocabulary of byte strings, and the merges that encode text as their ids.

    Ids 0 … 255 are the single bytes in GPT-2's order, then one id for each merge, then the special tokens. It never
    changes after construction, so threads can share it.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[int, int]] = (),
        *,
        counts: Sequence[int | None] | None = None,
        pattern: str = GPT2_PATTERN,
        special_tokens: Mapping[str, int] | None = None,
    ) -> None:
        """Build a tokenizer from the pairs of ids it merges, in the order of learning.

        Raises TokenizerError for pairs or ids that form no vocabulary, for sizes beyond MAX_TOKENS and the other
        limits of this module, and for a pattern that `bpe.compile_pattern` refuses.
        """
        pairs = list(pairs)
        tokens = make_tokens(pairs)
        self.pattern = pattern
        self.ranks: dict[bytes, int] = {token: token_id for token_id, token in enumerate(tokens)}
        if len(self.ranks) < len(tokens):
            raise TokenizerError(
                "Two merges of this vocabulary give the same token, so its ids are ambiguous; the file is "
                "damaged."
            )
        self.special_tokens = {EOT: len(tokens)} if special_tokens is None else dict(special_tokens)
        check_special_tokens(self.special_tokens)
        special_ids = list(self.special_tokens.values())
        if min(special_ids, default=len(tokens)) < len(tokens):
            raise TokenizerError(
                f"Special tokens come after the {len(tokens)} other tokens, so their ids must start at "
                f"{len(tokens)}."
            )
        self.vocab_size: int = max([len(tokens) - 1, *special_ids]) + 1
        self._pairs = pairs
        self._counts = list(counts) if counts is not None else [None] * len(pairs)
        self._bytes = dict(enumerate(tokens)) | {i: text.encode() for text, i in self.special_tokens.items()}
        self._cut = compile_pattern(pattern)

    def __repr__(self) -> str:
        return f"<Tokenizer: {self.vocab_size:,} tokens>"

    @classmethod
    def train(
        cls,
        texts: Iterable[str] | str,
        vocab_size: int,
        *,
        pattern: str = GPT2_PATTERN,
        special_tokens: Sequence[str] = (EOT,),
        min_frequency: int = 2,
        shrink: bool = False,
    ) -> Tokenizer:
        """Learn a vocabulary of `vocab_size` tokens from a text or from several documents.

        A pair that occurs fewer than `min_frequency` times is not merged. Raises TokenizerError if the text supports
        fewer tokens than requested; `shrink=True` accepts that.
        """
        if len(set(special_tokens)) < len(special_tokens):
            raise TokenizerError("A special token occurs twice; name each only once.")
        n_given = len(BYTE_ORDER) + len(special_tokens)
        if vocab_size < n_given:
            raise TokenizerError(
                f"vocab_size={vocab_size} must be at least {n_given}: 256 bytes and {len(special_tokens)} "
                "special tokens."
            )
        counts = count_pre_tokens([texts] if isinstance(texts, str) else texts, pattern)
        merges = learn_merges(counts, vocab_size - n_given, min_frequency)
        possible = n_given + len(merges)
        if possible < vocab_size and not shrink:
            raise TokenizerError(
                f"vocab_size={vocab_size} is more than this text supports; use {possible} or fewer, or a "
                "longer text."
            )
        first_special = len(BYTE_ORDER) + len(merges)
        return cls(
            [(left, right) for left, right, _ in merges],
            counts=[count for _, _, count in merges],
            pattern=pattern,
            special_tokens={text: first_special + i for i, text in enumerate(special_tokens)},
        )

    @cached_property
    def merges(self) -> tuple[Merge, ...]:
        """All merges in the order in which they were learned, which is the order of their ids."""
        return tuple(
            Merge(left=left, right=right, id=new_id, bytes=self._bytes[new_id], count=count)
            for new_id, ((left, right), count) in enumerate(
                zip(self._pairs, self._counts, strict=True), start=len(BYTE_ORDER)
            )
        )

    def first(self, n_merges: int) -> Tokenizer:
        """The tokenizer after its first `n_merges` merges; 0 gives single bytes."""
        n_merges = max(0, min(n_merges, len(self._pairs)))
        shift = len(self._pairs) - n_merges
        return Tokenizer(
            self._pairs[:n_merges],
            counts=self._counts[:n_merges],
            pattern=self.pattern,
            special_tokens={text: token_id - shift for text, token_id in self.special_tokens.items()},
        )

    @property
    def eot_id(self) -> int:
        """The id of the end-of-text token."""
        if EOT not in self.special_tokens:
            raise TokenizerError(f"This tokenizer has no {EOT} token; train it with that special token.")
        return self.special_tokens[EOT]

    @property
    def start_ids(self) -> tuple[int, ...]:
        """The ids that start every text; none in a tokenizer made here."""
        return ()

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The ids at which generation ends, the end-of-text token first; none where the tokenizer names none."""
        return (self.special_tokens[EOT],) if EOT in self.special_tokens else ()

    @property
    def chat_template(self) -> str | None:
        """The Jinja template that writes a conversation as text; None in a tokenizer made here."""
        return None

    def pieces(self, text: str) -> list[str]:
        """Split text into pre-tokens; no token crosses a boundary between them.

        What the pattern does not match is a piece too, so that no text is lost. Raises TokenizerError where the
        pattern takes too long on the text.
        """
        return list(cut_texts(self._cut, [replace_surrogates(text)]))

    def encode_slowly(self, text: str) -> list[int]:
        """Encode by replaying the merges one by one; gives the same ids as `encode`."""
        ids_of: dict[str, list[int]] = {}
        for piece in (pieces := self.pieces(text)):
            if piece not in ids_of:
                ids_of[piece] = merge_piece(piece.encode(), self._new_ids)
        return [token_id for piece in pieces for token_id in ids_of[piece]]

    @cached_property
    def _new_ids(self) -> dict[str, int]:
        return {
            chr(left) + chr(right): i for i, (left, right) in enumerate(self._pairs, start=len(BYTE_ORDER))
        }

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Encode text as token ids.

        The text of a special token is encoded as ordinary text, so that typing `<|endoftext|>` does not end a
        document; with `allow_special=True` it becomes the special token. Lone surrogates are read as U+FFFD; all
        other text comes back exactly from `decode`. Raises TokenizerError where the pattern takes too long on the
        text.
        """
        if allow_special and self.special_tokens:
            parts = cut_texts(self._find_special, [text])
            return [
                token_id
                for part in parts
                for token_id in (
                    [self.special_tokens[part]] if part in self.special_tokens else self.encode(part)
                )
            ]
        ids = self._encode_with_tiktoken(text)
        return self._encode_pieces(self.pieces(text)) if ids is None else ids

    def encode_prompt(self, text: str) -> list[int]:
        """Turn a text for a model to continue into ids: those that start every text, then the text's own.

        An empty text becomes the end-of-text token, after which a new document begins.
        """
        return [*self.start_ids, *self.encode(text)] or [self.eot_id]

    @cached_property
    def _find_special(self) -> regex.Pattern:
        longest_first = sorted(self.special_tokens, key=len, reverse=True)
        return regex.compile("|".join(map(regex.escape, longest_first)))

    def _encode_with_tiktoken(self, text: str) -> list[int] | None:
        """Return tiktoken's ids; None where it must not be used, or gives up.

        Nobody can interrupt tiktoken, and its pattern engine backtracks up to a million times at each character
        before it panics. So it runs the known patterns only, which do not backtrack; `bpe.cut_texts` runs the
        others under a time limit. It also merges any two neighbors that make a token, learned as a pair or not.
        """
        if self.pattern not in KNOWN_PATTERNS or self._splits_otherwise:
            return None
        blocks = range(0, len(text) - _WHITE_SPACE_BLOCK, _WHITE_SPACE_BLOCK)
        if any(text[start : start + _WHITE_SPACE_BLOCK].isspace() for start in blocks):
            return None
        try:
            return self.to_tiktoken().encode_ordinary(text)
        except BaseException as error:
            if not _is_panic(error):
                raise
            return None

    @cached_property
    def _splits_otherwise(self) -> bool:
        return split_otherwise(list(self.ranks), self._new_ids)

    def _encode_pieces(self, pieces: Iterable[str], errors: str = "strict") -> list[int]:
        """Encode pieces, each different one once, in time n log n of its length; `errors` is that of str.encode."""
        ids_of: dict[str, list[int]] = {}
        ids: list[int] = []
        for piece in pieces:
            if piece not in ids_of:
                data = piece.encode("utf-8", errors)
                if data.count(data[0]) == len(data):  # as spaces: the longest pieces, with few merges in them
                    ids_of[piece] = merge_piece(data, self._new_ids)
                else:
                    ids_of[piece] = replay_merges(
                        [self.ranks[data[i : i + 1]] for i in range(len(data))], self._rules
                    )
            ids += ids_of[piece]
        return ids

    @cached_property
    def _rules(self) -> dict[tuple[int, int], tuple[int, int]]:
        return {pair: (i, i) for i, pair in enumerate(self._pairs, start=len(BYTE_ORDER))}

    def encode_bytes(self, data: bytes) -> list[int]:
        """Encode any bytes as token ids; valid UTF-8 gets the ids of its text."""
        try:
            return self.encode(data.decode("utf-8"))
        except UnicodeDecodeError:
            # Bytes that are not UTF-8 become lone surrogates here, one each, and bytes again below.
            pieces = cut_texts(self._cut, [data.decode("utf-8", "surrogateescape")])
            return self._encode_pieces(pieces, "surrogateescape")

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token stands for; none for an id without a token, which a padded model can predict."""
        return self._bytes.get(int(token_id), b"")

    def token_text(self, token_id: int) -> str:
        r"""The token as text; bytes that are no whole character are written \xF0, never as U+FFFD."""
        text = self.token_bytes(token_id).decode("utf-8", "surrogateescape")
        return regex.sub("[\udc80-\udcff]", lambda match: f"\\x{ord(match.group()) - 0xDC00:02X}", text)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Decode token ids as bytes."""
        return b"".join(map(self.token_bytes, ids))

    def decode(self, ids: Iterable[int], *, continues: bool = False) -> str:
        """Decode token ids as text; bytes that are not UTF-8, as in half an emoji, become U+FFFD.

        `continues` says that the ids follow others. It matters to imported tokenizers that begin a text with a
        space, which is no part of the text and left out only at its start.
        """
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def to_tiktoken(self) -> tiktoken.Encoding:
        """The same vocabulary as a `tiktoken.Encoding`, made once.

        It drops text that the pattern does not match, and runs the pattern without a time limit; `encode` does
        neither. Raises TokenizerError for a pattern that tiktoken does not know.
        """
        return self._encoding

    @cached_property
    def _encoding(self) -> tiktoken.Encoding:
        try:
            return tiktoken.Encoding(
                "glassbox",
                pat_str=self.pattern,
                mergeable_ranks=self.ranks,
                special_tokens=self.special_tokens,
            )
        except BaseException as error:
            if not isinstance(error, ValueError) and not _is_panic(error):
                raise
            raise TokenizerError(
                f"tiktoken can't use the pattern {shortened(self.pattern)}: {shortened(str(error))}."
            ) from error

    def save(self, path: str | Path) -> None:
        """Write the tokenizer as JSON."""
        merges = [
            [left, right, count] for (left, right), count in zip(self._pairs, self._counts, strict=True)
        ]
        content = {
            "format": FILE_FORMAT,
            "version": FILE_VERSION,
            "pattern": self.pattern,
            "special_tokens": self.special_tokens,
            "merges": merges,
        }
        try:
            Path(path).write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
        except OSError as error:
            raise TokenizerError(f"The tokenizer can't be written to {path}: {error.strerror}.") from error

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Read a tokenizer that `save` wrote, or a `tokenizer.json` of Hugging Face's `tokenizers` that holds
        byte-level BPE.

        The file may come from a stranger. Whatever it holds, reading it takes bounded time and memory, and gives a
        tokenizer or raises TokenizerError.
        """
        content = read_file(path)
        if not isinstance(content, dict) or content.get("format") != FILE_FORMAT:
            if isinstance(content, dict) and isinstance(content.get("model"), dict):
                # Imported here because that module builds on this one. A run's tokenizer.json may be of this kind,
                # and scripts exported by the first edition read it with `Tokenizer.load`.
                from gptcore.formats.hf_tokenizer import from_json

                return from_json(content, str(path))
            raise TokenizerError(f"{path} is not a tokenizer file that Tokenizer.save wrote.")
        if content.get("version") != FILE_VERSION:
            raise TokenizerError(
                f"{path} has format version {shortened(content.get('version'))}, not {FILE_VERSION}; train "
                "the tokenizer again, or use the version of Glassbox that wrote it."
            )
        merges, special_tokens, pattern = (
            content.get(key) for key in ("merges", "special_tokens", "pattern")
        )
        if not (_are_merges(merges) and _are_special_tokens(special_tokens) and isinstance(pattern, str)):
            raise TokenizerError(f"{path} is damaged: its merges, special tokens or pattern are invalid.")
        try:
            return cls(
                [(left, right) for left, right, _ in merges],
                counts=[count for _, _, count in merges],
                pattern=pattern,
                special_tokens=special_tokens,
            )
        except TokenizerError as error:
            raise TokenizerError(f"{path} is damaged: {error}") from error


def _is_panic(error: BaseException) -> bool:
    """Return whether an exception is a panic of tiktoken's Rust code; its class cannot be imported."""
    return type(error).__name__ == "PanicException"


def read_file(path: str | Path) -> Any:
    """Return the JSON in a tokenizer file; raises TokenizerError for another kind of file, or one that is too
    large."""
    try:
        return read_bounded_json(path, MAX_FILE_BYTES, MAX_FILE_VALUES)
    except OSError as error:
        raise TokenizerError(f"The tokenizer {path} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise TokenizerError(f"{path} is not a tokenizer file: {error}.") from error


def _are_merges(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list)
        and len(row) == 3
        and type(row[0]) is int
        and type(row[1]) is int
        and (row[2] is None or (type(row[2]) is int and 0 <= row[2] < 1 << 63))
        for row in value
    )


def _are_special_tokens(value: object) -> bool:
    return isinstance(value, dict) and all(type(token_id) is int for token_id in value.values())


@lru_cache(maxsize=4)
def load_tiktoken(name: str = "gpt2") -> Tokenizer:
    """One of tiktoken's vocabularies as a Tokenizer, with its ids and pattern; `gpt2` has 50,257 tokens.

    tiktoken downloads the vocabulary at its first use and keeps it (in the folder TIKTOKEN_CACHE_DIR, if
    set). Raises TokenizerError with one sentence where that is not possible.
    """
    if name not in tiktoken.list_encoding_names():
        known = ", ".join(tiktoken.list_encoding_names())
        raise TokenizerError(f"tiktoken has no vocabulary {name!r}; choose one of {known}.")
    try:
        encoding = tiktoken.get_encoding(name)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; ValueError: a damaged download
        raise TokenizerError(
            f"The vocabulary {name!r} can't be downloaded ({type(error).__name__}): connect to the "
            "network once, or use the built-in story tokenizer."
        ) from error
    special_tokens = {text: encoding.encode_single_token(text) for text in encoding.special_tokens_set}
    ranks = encoding._mergeable_ranks  # tiktoken's README names this and _pat_str for building on an encoding
    return Tokenizer(pairs_from_ranks(ranks), pattern=encoding._pat_str, special_tokens=special_tokens)


@lru_cache(maxsize=1)
def story_tokenizer() -> Tokenizer:
    """The tokenizer of the built-in stories, shipped with gptcore."""
    path = Path(__file__).parent / "data" / "story_tokenizer.json"
    if not path.exists():
        raise TokenizerError(f"The story tokenizer {path} is missing; install gptcore again, with its data.")
    return Tokenizer.load(path)
