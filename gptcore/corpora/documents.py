"""A corpus: documents to train on and documents held out, made from one text or from many.

A story is a document, a row of a table is one, and a text file is one, unless lines `<|endoftext|>` separate the
documents in it. What the model is tested on is set aside first, before anything is cut into windows, so that no window
ever holds both.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gptcore.bpe import replace_surrogates

HELD_OUT_DOCUMENTS = 0.05
HELD_OUT_TEXT = 0.10
# A tenth of a short text is less than a window: hold out this, about 256 tokens, or a quarter of the text.
MIN_HELD_OUT_CHARACTERS = 1_000
FEW_DOCUMENTS = 10  # of fewer, the end of each is held out: a whole one would be too much, or too little
SEPARATOR = "<|endoftext|>"  # as in the files of TinyStories and in OpenAI's data sets
_SEPARATOR_LINE = re.compile(rf"{re.escape(SEPARATOR)}[ \t]*(?:\n|\Z)")
N_CHECKED_LINES = 10  # of a text that may be JSON lines


class CorpusError(ValueError):
    """A text can't be had or can't be learned from; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Documents to train on, and documents held out to measure what was learned."""

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    entropy: tuple[float, ...] | None = None  # nats of each validation document, where its source is known
    notes: tuple[str, ...] = ()  # sentences on how the documents were found
    are_cut: bool = field(default=False, compare=False)  # whether the end of each document is held out

    @property
    def documents(self) -> tuple[str, ...]:
        """All the documents, whole."""
        if self.are_cut:
            return tuple(start + end for start, end in zip(self.train, self.validation))
        return (*self.train, *self.validation)

    @property
    def n_characters(self) -> int:
        return sum(map(len, self.train)) + sum(map(len, self.validation))


def text_corpus(text: str | bytes, name: str = "your text") -> Corpus:
    """Make a corpus of one text, as pasted or uploaded.

    Lines that end in `<|endoftext|>` end a document. A text without them is one document, whose last tenth is held
    out. Raises CorpusError where it is empty, not text, or JSON lines, which have fields.
    """
    text = checked_text(text, name)
    if is_json_lines(text):
        raise CorpusError(
            f"{name} contains JSON lines, which are rows with fields; save it as a .jsonl file."
        )
    documents, notes = split_text(text, name)
    return corpus_of_documents(name, documents, notes)


def one_document(text: str | bytes, name: str) -> Corpus:
    """Make a corpus of a text that is one document, whatever its lines are; raises CorpusError as `text_corpus`."""
    text = checked_text(text, name)
    start = _held_out_start(text)
    return Corpus(name=name, train=(text[:start],), validation=(text[start:],), are_cut=True)


def checked_text(text: str | bytes, name: str) -> str:
    """Return a text with plain newlines; raises CorpusError where it is empty or not text."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(f"{name} is not UTF-8 text; save it as plain text in UTF-8.") from error
    if "\0" in text:
        raise CorpusError(
            f"{name} is not text, because it contains NUL characters; choose a plain text file in UTF-8."
        )
    text = plain_text(text)
    if not text.strip():
        raise CorpusError(f"{name} is empty; choose a text of at least a few hundred characters.")
    return text


def is_json_lines(text: str) -> bool:
    """Return whether the first lines of a text are JSON objects, one a line."""
    lines = (line for line in text[:100_000].split("\n") if line.strip())
    first = [line for line, _ in zip(lines, range(N_CHECKED_LINES))]
    if len(text) > 100_000 and len(first) < N_CHECKED_LINES:
        first = first[:-1]  # a line that may go on
    return bool(first) and all(isinstance(_parsed(line), dict) for line in first)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def split_text(text: str, name: str) -> tuple[list[str], list[str]]:
    """Return the documents of a text, which end where a line ends in `<|endoftext|>`, and notes on what was found."""
    parts = _SEPARATOR_LINE.split(text) if SEPARATOR in text else [text]
    documents, notes = parts, []
    if len(parts) > 1:
        documents = [part.strip("\n") for part in parts if part.strip()]
        noun = "document" if len(documents) == 1 else "documents"
        notes.append(f"{name}: {len(documents):,} {noun}, each ends where a line ends in {SEPARATOR}.")
    if not documents:
        raise CorpusError(
            f"{name} contains nothing but {SEPARATOR}; choose a text of at least a few hundred characters."
        )
    if n_inside := sum(document.count(SEPARATOR) for document in documents):
        notes.append(
            f"{name} has {SEPARATOR} within a line {n_inside:,} times; there it is trained on as text."
        )
    return documents, notes


def plain_text(text: str) -> str:
    """Text that any file can hold: no byte-order mark, no lone surrogates, plain newlines."""
    return replace_surrogates(text).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _held_out_start(text: str) -> int:
    """Where the held-out end of a text begins: after a line if one ends near, else before a space."""
    held_out = max(int(HELD_OUT_TEXT * len(text)), min(MIN_HELD_OUT_CHARACTERS, len(text) // 4))
    cut = len(text) - held_out
    earliest = cut - held_out // 2
    line_end = text.rfind("\n", earliest, cut)
    if line_end > 0:
        return line_end + 1
    space = text.rfind(" ", earliest, cut)
    return space if space > 0 else cut


def split_documents(name: str, documents: Sequence[str]) -> Corpus:
    """Hold out the last documents; a single document is cut like any text."""
    if len(documents) == 1:
        return one_document(documents[0], name)
    n_held_out = max(1, round(HELD_OUT_DOCUMENTS * len(documents)))
    return Corpus(name=name, train=tuple(documents[:-n_held_out]), validation=tuple(documents[-n_held_out:]))


def corpus_of_documents(name: str, documents: Sequence[str], notes: Sequence[str] = ()) -> Corpus:
    """Hold out the last documents, or of a few documents the end of each."""
    if len(documents) >= FEW_DOCUMENTS:
        return replace(split_documents(name, documents), notes=tuple(notes))
    parts = [one_document(document, name) for document in documents]
    return Corpus(
        name=name,
        train=tuple(part.train[0] for part in parts),
        validation=tuple(part.validation[0] for part in parts),
        notes=tuple(notes),
        are_cut=True,
    )
