"""Tables with a column of text, a document a row: JSON lines, JSON, CSV, Parquet, data sets saved by `datasets`."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gptcore.corpora.documents import Corpus, CorpusError, corpus_of_documents, is_json_lines, plain_text

JSON_LINES, DELIMITED = (".jsonl", ".ndjson"), (".csv", ".tsv")
SUFFIXES = (*JSON_LINES, *DELIMITED, ".json", ".parquet")
PARQUET_MAGIC = b"PAR1"
STRINGS = ("string", "large_string")  # as `datasets` calls the types of a column
NAMING = "with --text-field, or rename it to text"
HELD_OUT_SPLITS = ("validation", "valid", "test")
MAX_NAMED_FIELDS = 20
MAX_LISTS = 1_000_000  # and objects in one JSON value: parsed they take twenty times the memory of their text
MAX_CHARACTERS = 500_000_000  # of text: a packed table may hold far more than its file does

# pyarrow and `datasets` are imported where they are used: they take a second, and few texts need them.


def is_table(data: bytes, suffix: str) -> bool:
    """Return whether a file holds rows with fields, by its suffix or its first bytes."""
    head = data[:200_000].decode("utf-8", "ignore")
    return suffix in SUFFIXES or data.startswith(PARQUET_MAGIC) or is_json_lines(head)


def table_documents(data: bytes, suffix: str, name: str, field: str | None) -> tuple[list[str], str]:
    """Return the texts of a table's rows, and a note that says where they are from.

    `field` names the column. Without it the column is `text`, or the only one with text. Raises CorpusError for
    a table that is damaged, empty, or leaves open which column is meant.
    """
    if data.startswith(PARQUET_MAGIC) or suffix == ".parquet":
        return _parquet_documents(data, name, field)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{name} is not UTF-8 text; save it as UTF-8.") from error
    if suffix in DELIMITED:
        rows: Iterable[Any] = _delimited_rows(text, name)
    elif suffix == ".json" and not is_json_lines(text):
        rows = _json_rows(text, name)
    else:
        rows = _json_lines(text, name)
    return _texts(rows, name, field)


def _json_lines(text: str, name: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _parse_json(line, f"line {number:,} of {name}")


def _json_rows(text: str, name: str) -> list[Any]:
    rows = _parse_json(text, name)
    if not isinstance(rows, list):
        raise CorpusError(f"{name} is JSON but not a list of rows; write one JSON object per line as .jsonl.")
    return rows


def _parse_json(text: str, where: str) -> Any:
    if text.count("[") + text.count("{") > MAX_LISTS:
        raise CorpusError(f"{where} contains too many JSON values; write one object a line as .jsonl.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where} is not valid JSON; correct it, or save plain text as .txt.") from error


def _delimited_rows(text: str, name: str) -> Iterator[dict[str, str]]:
    header = text.partition("\n")[0]
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    try:
        yield from csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count))
    except csv.Error as error:
        raise CorpusError(f"{name} can't be read as a table ({error}); save it again as CSV.") from error


def _parquet_documents(data: bytes, name: str, field: str | None) -> tuple[list[str], str]:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        columns = [part.name for part in file.schema_arrow if pyarrow.types.is_string(_plain_type(part.type))]
        column = choose_field(columns, field, name)
        batches = file.iter_batches(columns=[column])
        return _texts((row for batch in batches for row in batch.to_pylist()), name, column)
    except pyarrow.ArrowException as error:
        raise CorpusError(f"{name} is not a complete Parquet file; copy it again.") from error


def _plain_type(kind: Any) -> Any:
    """Return the type of a column's values: a dictionary of strings and long strings are strings."""
    import pyarrow

    kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    return pyarrow.string() if pyarrow.types.is_large_string(kind) else kind


def _texts(rows: Iterable[Any], name: str, field: str | None) -> tuple[list[str], str]:
    """Return the texts in a field of rows, and the note; rows that are strings are texts themselves."""
    rows = list(_bounded(rows, name))
    if rows and all(isinstance(row, str) for row in rows):
        texts, source = rows, "one for each string"
    else:
        if not all(isinstance(row, Mapping) for row in rows):
            raise CorpusError(f"{name} has rows that are not JSON objects; write each row as an object.")
        field = choose_field(_text_fields(rows), field, name)
        texts, source = [row.get(field) for row in rows], f'one for each row, from its field "{field}"'
    kept = [plain_text(text).replace("\0", "") for text in texts if isinstance(text, str) and text.strip()]
    if not kept:
        raise CorpusError(f"{name} contains no text; choose a table with rows.")
    left_out = f"; {len(rows) - len(kept):,} rows hold no text" if len(kept) < len(rows) else ""
    return kept, f"{name}: {len(kept):,} documents, {source}{left_out}."


def _bounded(rows: Iterable[Any], name: str) -> Iterator[Any]:
    """Pass on the texts of each row, all that is needed of it; raises CorpusError where they are more than is read."""
    n_characters = 0
    for row in rows:
        values = row.values() if isinstance(row, Mapping) else [row]
        n_characters += sum(len(value) for value in values if isinstance(value, str))
        if n_characters > MAX_CHARACTERS:
            raise CorpusError(f"{name} has more than {MAX_CHARACTERS:,} characters; use a part of it.")
        yield (
            {key: value for key, value in row.items() if isinstance(value, str)}
            if isinstance(row, Mapping)
            else row
        )


def _text_fields(rows: list[Mapping[str, Any]]) -> list[str]:
    """Return the names of the fields that hold a text in some row, in the order of the file."""
    names = {str(key): None for row in rows for key, value in row.items() if isinstance(value, str)}
    return list(names)


def choose_field(names: list[str], field: str | None, what: str, how: str = NAMING) -> str:
    """Return which of the fields that hold text is meant: the one asked for, `text`, or the only one."""
    if field in names:
        return field
    if field is None and "text" in names:
        return "text"
    if field is None and len(names) == 1:
        return names[0]
    if not names:
        raise CorpusError(f"{what} has no field with text; choose another file.")
    missing = "no field named text" if field is None else f"no field {field!r} with text"
    choice = ", ".join(names[:MAX_NAMED_FIELDS])
    raise CorpusError(f"{what} has {missing}; choose one of {choice} {how}.")


def is_saved_data_set(folder: Path) -> bool:
    """Return whether a folder is a data set that `datasets` has saved to disk."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def saved_data_set_corpus(folder: Path, field: str | None) -> Corpus:
    """Read a data set saved to disk by `datasets`; of several splits `train`, with `validation` or `test` held out."""
    import datasets

    name = folder.name
    try:
        saved = datasets.load_from_disk(str(folder))
    except Exception as error:  # `datasets` passes on whatever its many readers raise
        raise CorpusError(
            f"{name} can't be read as a saved data set ({type(error).__name__}); save it again."
        ) from error
    splits = dict(saved) if isinstance(saved, datasets.DatasetDict) else {"train": saved}
    if "train" not in splits and len(splits) != 1:
        raise CorpusError(
            f"{name} has the splits {', '.join(splits)} but no train; choose the folder of one of them."
        )
    first = "train" if "train" in splits else next(iter(splits))
    texts, note = _split_texts(splits[first], name, field)
    held_out = next((split for split in HELD_OUT_SPLITS if split in splits and split != first), None)
    if held_out is None:
        return corpus_of_documents(name, texts, [note])
    validation, _ = _split_texts(splits[held_out], f"the split {held_out} of {name}", field)
    notes = (note, f"{name}: its split {held_out} is held out, {len(validation):,} documents.")
    return Corpus(name=name, train=tuple(texts), validation=tuple(validation), notes=notes)


def _split_texts(split: Any, name: str, field: str | None) -> tuple[list[str], str]:
    columns = [column for column, kind in split.features.items() if getattr(kind, "dtype", "") in STRINGS]
    column = choose_field(columns, field, name)
    return _texts(({column: text} for text in split.with_format(None)[column]), name, column)
