"""Texts in files and folders: plain text, tables with a column of text, and gzip of both."""

import errno
import gzip
import io
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from gptcore.corpora.documents import (
    SEPARATOR,
    Corpus,
    CorpusError,
    checked_text,
    corpus_of_documents,
    split_text,
)
from gptcore.corpora.tables import (
    SUFFIXES,
    is_saved_data_set,
    is_table,
    saved_data_set_corpus,
    table_documents,
)
from gptcore.files import read_bytes

# Token ids, and their copy in windows, take about five times the memory of the text itself.
MAX_FILE_BYTES = 500_000_000
MAX_FILES = 20_000
MAX_NOTES = 6
GZIP_MAGIC = b"\x1f\x8b"
ABOUT = ("readme", "license", "notice")  # how the names of files begin that describe a folder's tables


def load_files(paths: Sequence[Path], field: str | None = None) -> Corpus:
    """Make a corpus of the documents in files and folders; `field` names the column of text in tables.

    Raises CorpusError where there is no text to be had.
    """
    first, *others = paths
    name = f"{first.name} and {len(others)} more" if others else first.name
    if not others and os.path.isdir(first) and is_saved_data_set(first):
        return saved_data_set_corpus(first, field)
    files = [file for path in paths for file in (_files_in(path) if os.path.isdir(path) else [path])]
    documents: list[str] = []
    notes: list[str] = []
    n_left, has_fields = MAX_FILE_BYTES, False
    for path in files:
        data = _read(path, n_left)
        n_left -= len(data)
        file_texts, more = file_documents(data, path.name, field)
        has_fields |= is_table(data, _suffix(path.name))
        documents += file_texts
        notes += more
    if field is not None and not has_fields:
        raise CorpusError(f"{name} is plain text, which has no fields; leave out --text-field {field}.")
    if len(files) > 1:
        notes = [f"{name}: {len(documents):,} documents from {len(files):,} files.", *_shortened(notes)]
    return corpus_of_documents(name, documents, notes)


def file_documents(data: bytes, name: str, field: str | None = None) -> tuple[list[str], list[str]]:
    """Return the documents in what a file of this name holds, and notes on how they were found; raises CorpusError."""
    suffix = _suffix(name)
    if is_table(data, suffix):
        documents, note = table_documents(data, suffix, name, field)
        return documents, [note]
    return split_text(checked_text(data, name), name)


def as_one_text(data: bytes, name: str) -> bytes:
    """Return a file as a text in which lines of their own separate the documents; raises CorpusError."""
    documents, _ = file_documents(data, name)
    return f"\n{SEPARATOR}\n".join(documents).encode() if is_table(data, _suffix(name)) else data


def _shortened(notes: list[str]) -> list[str]:
    n_left = len(notes) - MAX_NOTES
    return [*notes[:MAX_NOTES], f"… and {n_left:,} more files like these."] if n_left > 0 else notes


def _suffix(name: str) -> str:
    """Return what a file's name says of its content, such as .csv, whether it is packed with gzip or not."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")


def _files_in(folder: Path) -> list[Path]:
    """Return the files of a folder that hold text, in the order of their names; hidden ones are left out.

    Raises CorpusError where there is none, and where there are both texts and tables.
    """
    files = []
    for path in sorted(folder.rglob("*")):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts) and path.is_file():
            files.append(path)
            if len(files) > MAX_FILES:
                raise CorpusError(
                    f"{folder} contains more than {MAX_FILES:,} files; choose a smaller folder, or join the files."
                )
    tables = [path for path in files if _suffix(path.name) in SUFFIXES]
    described = [path for path in files if not (tables and path.name.lower().startswith(ABOUT))]
    texts = [path for path in described if path not in set(tables)]
    if tables and texts:
        raise CorpusError(
            f"{folder} contains texts ({texts[0].name}) and tables ({tables[0].name}); choose the files "
            "to read."
        )
    if not files:
        raise CorpusError(f"{folder} contains no files; choose a folder with texts.")
    return tables or texts


def _read(path: Path, most_bytes: int) -> bytes:
    """Return what is in a file, unpacked where it is gzip; raises CorpusError."""
    try:
        data = read_bytes(path, most_bytes)
    except FileNotFoundError as error:
        raise CorpusError(
            f"There is no file {path}; choose a text file, or one of stories, book and hub:NAME."
        ) from error
    except OSError as error:
        advice = "use a part of it" if error.errno == errno.EFBIG else "choose a text file"
        raise CorpusError(f"{str(path)!r} can't be read ({error.strerror}); {advice}.") from error
    return _unpacked(data, path.name, most_bytes) if data.startswith(GZIP_MAGIC) else data


def _unpacked(data: bytes, name: str, most_bytes: int) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as file:
            content = file.read(most_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"{name} is not a complete gzip file; copy it again.") from error
    if len(content) > most_bytes:
        raise CorpusError(
            f"{name} unpacks to more than the {most_bytes:,} bytes that are read; use a part of it."
        )
    return content
