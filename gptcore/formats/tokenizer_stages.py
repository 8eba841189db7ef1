"""What a `tokenizer.json` does to text before its merges: bring it to a form, then cut it into pieces.

Each part of the file becomes a function. A normalizer takes a text and returns a text. A pre-tokenizer takes the
pieces cut so far, and whether the first of them starts the whole text, and returns smaller pieces.

Source: the documentation of Hugging Face's `tokenizers`, whose ids the tests compare with.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import regex

from gptcore.bpe import (
    GPT2_PATTERN,
    TokenizerError,
    compile_pattern,
    cut_texts,
    shortened,
)

Normalizer = Callable[[str], str]
Cut = Callable[[Sequence[str], bool], Sequence[str]]

# The pieces GPT-2's pattern cuts, in the spelling of `regex`'s peers: they read our possessive `\s++$` as the
# end of a line.
PORTABLE_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

MAX_STAGES = 16  # normalizers, and cuts one after another; the files in use have up to five
MAX_GROWTH = 16  # what replacements may multiply a text by; those in use keep its length
LONGEST_PREFIX = 16  # characters


class PreTokenizer(NamedTuple):
    """How text is cut before the merges. `pattern` joins the patterns of the cuts."""

    cuts: tuple[Cut, ...]
    pattern: str
    byte_level: bool  # the pieces are then spelled byte by byte


def read_normalizers(part: Mapping[str, Any] | None, name: str) -> list[Normalizer]:
    """Return the normalizers of a file, in order; raises TokenizerError for one that is not known."""
    parts = steps(part, "normalizers")
    if len(parts) > MAX_STAGES:
        raise TokenizerError(f"{name} normalizes text {len(parts):,} times, and only once is supported.")
    growth = 1.0
    for step in parts:
        if step["type"] == "Replace":
            growth *= max(1.0, len(step["content"]) / max(1, len(_literal(step, name))))
    if growth > MAX_GROWTH:
        raise TokenizerError(f"{name} makes text {growth:,.0f} times as long, which is not supported.")
    return [_normalizer(step, name) for step in parts]


def _normalizer(part: Mapping[str, Any], name: str) -> Normalizer:
    kind = part["type"]
    if kind in ("NFC", "NFD", "NFKC", "NFKD"):
        return partial(unicodedata.normalize, kind)
    if kind == "Prepend":
        prefix = _prefix(part["prepend"], name)
        return lambda text: prefix + text if text else text
    if kind == "Replace":
        old, new = _literal(part, name), part["content"]
        return lambda text: text.replace(old, new)
    raise TokenizerError(f"{name}: the normalizer {shortened(kind)} is not supported.")


def _literal(part: Mapping[str, Any], name: str) -> str:
    """Return the text that a Replace or a Split looks for."""
    ((kind, text),) = part["pattern"].items()
    if kind != "String" or not isinstance(text, str) or not text:
        raise TokenizerError(
            f"{name}: a {shortened(part['type'])} with a {shortened(kind)} is not supported."
        )
    return text


def _prefix(text: object, name: str) -> str:
    if not isinstance(text, str) or not 1 <= len(text) <= LONGEST_PREFIX:
        raise TokenizerError(f"{name} is damaged: it starts each text with {shortened(text)}.")
    return text


def read_pre_tokenizer(part: Mapping[str, Any] | None, name: str) -> PreTokenizer:
    """Return how a file cuts text; raises TokenizerError for a way that is not known."""
    stages = steps(part, "pretokenizers")
    if len(stages) > MAX_STAGES:
        raise TokenizerError(f"{name} splits text in {len(stages):,} stages, and at most 5 are supported.")
    kinds = [stage["type"] for stage in stages]
    byte_level = "ByteLevel" in kinds
    if byte_level and kinds.index("ByteLevel") != len(kinds) - 1:
        raise TokenizerError(f"{name} splits text again after encoding it as bytes, which is not supported.")
    cuts: list[Cut] = []
    patterns: list[str] = []
    for stage in stages:
        for cut, pattern in _cuts(stage, name):
            cuts.append(cut)
            patterns += [pattern] if pattern else []
    return PreTokenizer(tuple(cuts), "|".join(patterns), byte_level)


def steps(part: Mapping[str, Any] | None, inside: str) -> list[Mapping[str, Any]]:
    """Return a part, or the parts of a Sequence, whatever its depth; none where the file has no such part."""
    return [] if part is None else _inner_steps(part, inside)


def _inner_steps(part: Mapping[str, Any], inside: str) -> list[Mapping[str, Any]]:
    if part["type"] == "Sequence":
        return [step for inner in part[inside] for step in _inner_steps(inner, inside)]
    return [part]


def _cuts(stage: Mapping[str, Any], name: str) -> list[tuple[Cut, str]]:
    """Return the steps that one pre-tokenizer takes, each with its pattern."""
    kind = stage["type"]
    if kind == "ByteLevel":
        prefix = [(_start_with_space, "")] if stage.get("add_prefix_space", True) else []
        return prefix + ([_by_pattern(GPT2_PATTERN, name)] if stage.get("use_regex", True) else [])
    if kind == "Digits":
        return [_by_pattern(r"\p{N}" if stage.get("individual_digits") else r"\p{N}+", name)]
    if kind == "Metaspace":
        return [(_metaspace(stage, name), "")]
    if kind == "Split":
        return [_split(stage, name)]
    raise TokenizerError(f"{name}: the pre-tokenizer {shortened(kind)} is not supported.")


def _start_with_space(pieces: Sequence[str], at_start: bool) -> Sequence[str]:
    return [piece if piece.startswith(" ") else " " + piece for piece in pieces]


def _metaspace(stage: Mapping[str, Any], name: str) -> Cut:
    """Return SentencePiece's way: a mark for each space and one before the text, and a cut before each mark."""
    mark = _prefix(stage.get("replacement", "▁"), name)
    scheme = prepend_scheme(stage)
    cut_before = regex.compile(f"(?<!^)(?={regex.escape(mark)})")

    def apply(pieces: Sequence[str], at_start: bool) -> list[str]:
        cut = []
        for index, piece in enumerate(pieces):
            piece = piece.replace(" ", mark)
            prepends = scheme == "always" or (scheme == "first" and at_start and index == 0)
            if prepends and not piece.startswith(mark):
                piece = mark + piece
            cut += cut_before.split(piece) if stage.get("split", True) else [piece]
        return cut

    return apply


def prepend_scheme(stage: Mapping[str, Any]) -> str:
    """Return where a Metaspace part puts a mark that the text does not have: always, first, never."""
    return stage.get("prepend_scheme") or ("always" if stage.get("add_prefix_space", True) else "never")


def _split(stage: Mapping[str, Any], name: str) -> tuple[Cut, str]:
    ((kind, text),) = stage["pattern"].items()
    pattern = regex.escape(text) if kind == "String" else text
    behavior, inverted = stage["behavior"], bool(stage.get("invert"))
    if behavior == "Isolated":  # matches and what lies between them are pieces alike
        return _by_pattern(pattern, name)
    if behavior == "Removed" and inverted:
        return _by_pattern(pattern, name, only_matches=True)
    if behavior in ("MergedWithPrevious", "MergedWithNext") and kind == "String" and not inverted:
        return _merged(_literal(stage, name), behavior == "MergedWithNext"), ""
    raise TokenizerError(f"{name}: a Split with behavior={shortened(behavior)} is not supported.")


def _merged(mark: str, with_next: bool) -> Cut:
    """Return a cut at a text that stays with the piece before it, or after it."""
    quoted = regex.escape(mark)
    cut = regex.compile(f"(?={quoted})(?<!^)" if with_next else f"(?<={quoted})(?!$)")
    return lambda pieces, at_start: [part for piece in pieces for part in cut.split(piece)]


def _by_pattern(pattern: str, name: str, *, only_matches: bool = False) -> tuple[Cut, str]:
    compiled = _compile(pattern, name)

    def cut(pieces: Sequence[str], at_start: bool) -> Sequence[str]:
        return list(cut_texts(compiled, pieces, only_matches=only_matches))

    return cut, compiled.pattern


def _compile(pattern: str, name: str) -> regex.Pattern:
    if pattern == PORTABLE_GPT2:
        pattern = GPT2_PATTERN
    try:  # their engine reads ^ and $ line by line
        return compile_pattern(pattern, 0 if pattern == GPT2_PATTERN else regex.MULTILINE)
    except TokenizerError as error:
        raise TokenizerError(f"{name}: {error}") from error
