"""Tokens that are found in the text itself, before it is normalized and cut: special ones, and others such as runs
of spaces.

A special token (`"special": true`) counts only where it is asked for, so that nobody ends a document by typing its
name. The others always do. `normalized` says that a token is looked for in the normalized text, and `lstrip` and
`rstrip` that it takes the white space beside it along.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from gptcore.bpe import MAX_TOKENS, TokenizerError, check_special_tokens, replace_surrogates, shortened
from gptcore.formats.tokenizer_stages import Normalizer


@dataclass(frozen=True, slots=True)
class AddedToken:
    """One entry of a file's `added_tokens`."""

    text: str
    id: int
    special: bool
    normalized: bool
    single_word: bool
    lstrip: bool
    rstrip: bool


def read_added_tokens(added: Sequence[Mapping[str, Any]], name: str) -> list[AddedToken]:
    """Return the added tokens that have a text; raises TokenizerError for what is none, or for too many."""
    if not isinstance(added, list):
        raise TokenizerError(f"{name} is damaged: its added_tokens must be a list.")
    tokens: dict[str, AddedToken] = {}
    for entry in added:
        text, special = entry["content"], bool(entry.get("special", False))
        if not isinstance(text, str):
            raise TokenizerError(f"{name} is damaged: the special token {shortened(text)} must be text.")
        token = AddedToken(
            text=text,
            id=checked_id(entry["id"], name),
            special=special,
            normalized=bool(entry.get("normalized", not special)),
            single_word=bool(entry.get("single_word")),
            lstrip=bool(entry.get("lstrip")),
            rstrip=bool(entry.get("rstrip")),
        )
        if text and tokens.setdefault(text, token).id != token.id:
            raise TokenizerError(f"{name} is damaged: {shortened(text)} has two ids.")
    try:
        check_special_tokens({text: token.id for text, token in tokens.items()})
    except TokenizerError as error:
        raise TokenizerError(f"{name} is damaged: {error}") from error
    return list(tokens.values())


def checked_id(token_id: object, name: str) -> int:
    """Return an id that a file gives; raises TokenizerError for what is no id."""
    if type(token_id) is not int or token_id >= MAX_TOKENS:
        raise TokenizerError(
            f"{name} is damaged: the id {shortened(token_id)} must be a whole number below {MAX_TOKENS:,}."
        )
    if token_id < 0:
        raise TokenizerError(f"{name} is damaged: the id {shortened(token_id)} must be at least 0.")
    return token_id


class AddedTokens:
    """Splits texts at added tokens, in two passes: in the text as it is, then in the normalized text."""

    def __init__(self, tokens: Sequence[AddedToken], normalizers: Sequence[Normalizer]) -> None:
        self._normalizers = normalizers
        self._raw = {token.text: token for token in tokens if not token.normalized}
        self._normalized = {
            self.normalize(replace_surrogates(token.text)): token for token in tokens if token.normalized
        }
        self._find_raw, self._find_normalized = map(_any_of, (self._raw, self._normalized))

    def normalize(self, text: str) -> str:
        """Return a text in the form that is cut."""
        for step in self._normalizers:
            text = step(text)
        return text

    def sections(self, text: str, specials: bool) -> Iterator[tuple[str, int | None, bool]]:
        """Yield the parts of a text in order, each as (normalized text, id, whether it starts the text).

        The id is that of an added token, None for text between them. Special tokens are found with `specials`.
        """
        for start, part, token_id in _split(text, self._find_raw, self._raw, specials):
            if token_id is not None:
                yield part, token_id, False
                continue
            normalized = self.normalize(part)
            for inner, piece, inner_id in _split(
                normalized, self._find_normalized, self._normalized, specials
            ):
                yield piece, inner_id, start == inner == 0


def _any_of(texts: Mapping[str, AddedToken]) -> regex.Pattern | None:
    known = [text for text in texts if text]
    return regex.compile(r"\L<known>", known=known) if known else None


def _split(
    text: str, find: regex.Pattern | None, tokens: Mapping[str, AddedToken], specials: bool
) -> Iterator[tuple[int, str, int | None]]:
    """Yield the parts of a text, each as (where it starts, its text, the id of the token it is or None)."""
    end = 0
    for match in find.finditer(text) if find is not None else ():
        token = tokens[match.group()]
        if (token.special and not specials) or (token.single_word and _inside_word(text, match)):
            continue
        start, stop = match.span()
        if token.lstrip:
            start = max(end, len(text[:start].rstrip()))
        if token.rstrip:
            stop = len(text) - len(text[stop:].lstrip())
        if end < start:
            yield end, text[end:start], None
        yield start, text[start:stop], token.id
        end = stop
    if end < len(text):
        yield end, text[end:], None


def _inside_word(text: str, match: regex.Match) -> bool:
    start, stop = match.span()
    return bool(
        regex.match(r"\w", text[stop : stop + 1]) or regex.match(r"\w", text[max(0, start - 1) : start])
    )
