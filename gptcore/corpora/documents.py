"""A corpus: documents to learn from and documents held out, made of a text or of many.

A story is a document, a row of a data set is one, and a text file is a single one, however many paragraphs it
has. What the model is tested on is set aside first, before anything is cut into windows, so that no window
ever holds both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gptcore.bpe import replace_surrogates

HELD_OUT_DOCUMENTS = 0.05
HELD_OUT_TEXT = 0.10
# A tenth of a short text is less than a window: hold out this, about 256 tokens, or a quarter of the text.
MIN_HELD_OUT_CHARACTERS = 1_000


class CorpusError(ValueError):
    """A text can't be had or can't be learned from; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Documents to train on, and documents held out to measure what was learned."""

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    entropy: tuple[float, ...] | None = None  # nats of each validation document, where its source is known

    @property
    def n_characters(self) -> int:
        return sum(map(len, self.train)) + sum(map(len, self.validation))


def text_corpus(text: str | bytes, name: str = "your text") -> Corpus:
    """Make a corpus of one text, as pasted or uploaded; its last tenth is held out.

    Line ends become a plain newline. Raises CorpusError where it is empty or not text.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{name} is not text in UTF-8: give a plain text file saved as UTF-8."
            ) from error
    if "\0" in text:
        raise CorpusError(
            f"{name} is not text (it holds NUL characters): give a plain text file saved as UTF-8."
        )
    text = plain_text(text)
    if not text.strip():
        raise CorpusError(f"{name} is empty: give a text of at least a few hundred characters.")
    start = _held_out_start(text)
    return Corpus(name=name, train=(text[:start],), validation=(text[start:],))


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
        return text_corpus(documents[0], name)
    n_held_out = max(1, round(HELD_OUT_DOCUMENTS * len(documents)))
    return Corpus(name=name, train=tuple(documents[:-n_held_out]), validation=tuple(documents[-n_held_out:]))
