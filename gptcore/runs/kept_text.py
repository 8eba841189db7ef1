"""The text of a run, kept in its folder: a run that resumes reads nothing outside it.

One text is `corpus.txt`; several documents, as of a data set, are `corpus.json`. The corpora that Glassbox makes itself
are not kept, since they can be made again.
"""

from pathlib import Path

import msgspec

from gptcore.corpora.documents import Corpus, CorpusError, one_document
from gptcore.corpora.sources import BUILT_IN, load_corpus
from gptcore.corpora.text_files import MAX_FILE_BYTES
from gptcore.files import read_bytes, write_bytes

KEPT_TEXTS = TEXT, DOCUMENTS = "corpus.txt", "corpus.json"


class _Documents(msgspec.Struct, forbid_unknown_fields=True):
    """What `corpus.json` holds."""

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]


def keep_text(folder: Path, corpus: Corpus) -> None:
    """Write the documents of a corpus into the folder of a run."""
    text = "".join((*corpus.train, *corpus.validation))
    if len(corpus.train) == len(corpus.validation) == 1 and _same_parts(
        one_document(text, corpus.name), corpus
    ):
        write_bytes(folder / TEXT, text.encode())
        return
    documents = _Documents(corpus.name, corpus.train, corpus.validation)
    write_bytes(folder / DOCUMENTS, msgspec.json.encode(documents))


def _same_parts(corpus: Corpus, other: Corpus) -> bool:
    return (corpus.train, corpus.validation) == (other.train, other.validation)


def load_kept_text(folder: Path, source: str) -> Corpus:
    """Return the corpus of a run: what its folder keeps, or else the built-in corpus that `source` names.

    Raises CorpusError where the folder keeps no text that can be read, and `source` names another place.
    """
    if (folder / TEXT).is_file():
        return one_document(_read(folder / TEXT), TEXT)
    if (folder / DOCUMENTS).is_file():
        return _load_documents(folder / DOCUMENTS)
    if source in BUILT_IN:
        return load_corpus(source)
    raise CorpusError(
        f"{folder.name} does not contain the text it was trained on, so it cannot resume without it; "
        "pass the text on the command line: resume DIR --corpus FILE, or hub:NAME"
    )


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, MAX_FILE_BYTES)
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror}") from error


def _load_documents(path: Path) -> Corpus:
    try:
        documents = msgspec.json.decode(_read(path), type=_Documents)
    except CorpusError:
        raise
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{path} is damaged; copy it here again, or pass the text with --corpus") from error
    if not documents.train or not documents.validation:
        raise CorpusError(f"{path} contains no documents; copy it here again, or pass the text with --corpus")
    return Corpus(name=documents.name, train=documents.train, validation=documents.validation)
