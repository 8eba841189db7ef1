"""Texts as people have them: tables, folders, gzip, documents with separators; each as `--corpus` takes it."""

import gzip
import json
import os

import datasets
import pytest

from gptcore.corpora import tables, text_files
from gptcore.corpora.documents import CorpusError, text_corpus
from gptcore.corpora.sources import load_corpus

STORIES = [f"Story {i}.\nIt goes on, and it ends." for i in range(40)]
ROWS = [{"id": f"n{i}", "body": story, "stars": i} for i, story in enumerate(STORIES)]


def documents(corpus) -> list[str]:
    return [*corpus.train, *corpus.validation]


def write_jsonl(path, rows=ROWS):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_csv(path):
    lines = ["id;body;stars", *(f'n{i};"{story}";{i}' for i, story in enumerate(STORIES))]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def write_parquet(path):
    datasets.Dataset.from_list(ROWS).to_parquet(str(path))
    return path


def write_saved(path):
    datasets.Dataset.from_list(ROWS).save_to_disk(str(path))
    return path


def write_json(path):
    path.write_text(json.dumps(ROWS), encoding="utf-8")
    return path


def write_packed(path):
    path.write_bytes(gzip.compress(write_jsonl(path).read_bytes()))
    return path


TABLES = {
    "a.jsonl": write_jsonl,
    "lines.txt": write_jsonl,
    "a.json": write_json,
    "a.csv": write_csv,
    "a.parquet": write_parquet,
    "no_suffix": write_parquet,
    "a.jsonl.gz": write_packed,
    "packed": write_packed,
    "saved": write_saved,
}


@pytest.mark.parametrize("name", TABLES)
def test_each_row_of_a_table_is_a_document_and_whole_rows_are_held_out(name, tmp_path):
    path = TABLES[name](tmp_path / name)
    corpus = load_corpus(str(path), text_field="body")
    assert documents(corpus) == STORIES
    assert corpus.validation == tuple(STORIES[-2:])
    assert corpus.notes == (f'{name}: 40 documents, one for each row, from its field "body".',)
    with pytest.raises(CorpusError, match=r"has no field named text; choose one of id, body"):
        load_corpus(path)
    with pytest.raises(CorpusError, match=r"has no field 'boddy' with text; choose one of id, body"):
        load_corpus(path, text_field="boddy")


def test_the_field_text_is_the_default_and_so_is_the_only_field_of_text(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "This.", "title": "T"}, {"text": None, "title": "T"}])
    corpus = load_corpus(path)
    assert "".join(documents(corpus)) == "This."
    assert corpus.notes[0].endswith('from its field "text"; 1 rows hold no text.')
    only = load_corpus(write_jsonl(tmp_path / "b.jsonl", [{"n": 1, "story": "Once."}]))
    assert "".join(documents(only)) == "Once."


def test_a_split_for_validation_is_held_out(tmp_path):
    parts = {"train": STORIES[:30], "test": STORIES[30:]}
    saved = datasets.DatasetDict({k: datasets.Dataset.from_dict({"text": v}) for k, v in parts.items()})
    saved.save_to_disk(str(tmp_path / "saved"))
    corpus = load_corpus(tmp_path / "saved")
    assert (list(corpus.train), list(corpus.validation)) == (STORIES[:30], STORIES[30:])
    assert corpus.notes[1] == "saved: its split test is held out, 10 documents."


@pytest.mark.parametrize("separator", ["\n<|endoftext|>\n", "<|endoftext|>\n", "\n\n<|endoftext|> \n\n"])
def test_lines_that_end_in_the_end_of_text_token_separate_documents(separator, tmp_path):
    (tmp_path / "tiny.txt").write_text(separator.join(STORIES) + separator)
    corpus = load_corpus(tmp_path / "tiny.txt")
    assert documents(corpus) == STORIES and corpus.validation == tuple(STORIES[-2:])
    assert corpus.notes == ("tiny.txt: 40 documents, each ends where a line ends in <|endoftext|>.",)


def test_the_token_within_a_line_stays_text_and_is_told():
    text = "The token <|endoftext|> ends a text.\n" * 9
    corpus = text_corpus(text, "notes")
    assert "".join(documents(corpus)) == text
    assert corpus.notes == ("notes has <|endoftext|> within a line 9 times; there it is trained on as text.",)
    assert text_corpus(text.replace("<|endoftext|>", "x"), "notes").notes == ()


def test_several_files_and_a_folder_are_one_corpus(tmp_path):
    folder = tmp_path / "texts"
    (folder / "more").mkdir(parents=True)
    (folder / ".hidden").write_text("not this")
    for name, text in (("a.txt", "a" * 5000), ("b.md", "b" * 5000), ("more/c.txt.gz", None)):
        data = gzip.compress(b"c" * 5000) if text is None else text.encode()
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "pipe")
    corpus = load_corpus(folder)
    assert corpus.name == "texts" and corpus.notes == ("texts: 3 documents from 3 files.",)
    # Of a few documents the end of each is held out, so that both parts hold of all.
    assert [set(part) for part in corpus.train] == [{"a"}, {"b"}, {"c"}]
    assert [(set(part), len(part)) for part in corpus.validation] == [({x}, 1000) for x in "abc"]
    both = load_corpus(f"{folder / 'a.txt'}\n{folder / 'b.md'}")
    assert both.name == "a.txt and 1 more" and len(both.train) == 2
    assert load_corpus([folder / "a.txt", folder / "b.md"]) == both


BAD = {
    "a list of lists": ("a.json", b"[[1], [2]]", "rows that are not JSON objects"),
    "one object": ("a.json", b'{\n"text": "x"}', "not a list of rows"),
    "broken JSON": ("a.jsonl", b'{"text": "a"}\n{"text": \n', r"line 2 of a\.jsonl is not valid JSON"),
    "a value of too many values": (
        "a.jsonl",
        b'{"text": "a", "x": [' + b"[]," * 1_000_001 + b"[]]}",
        "too many JSON",
    ),
    "deep JSON": ("a.json", b"[" * 100_000, "is not valid JSON"),
    "no text": ("a.jsonl", b'{"n": 1}\n', "has no field with text"),
    "no rows": ("a.csv", b"text\n", "has no field with text"),
    "broken parquet": ("a.parquet", b"PAR1 and no more", "not a complete Parquet file"),
    "broken gzip": ("a.txt.gz", gzip.compress(b"x" * 99)[:20], "not a complete gzip file"),
    "latin-1": ("a.csv", b"text\ncaf\xe9\n", "is not UTF-8 text"),
    "separators alone": ("a.txt", b"<|endoftext|>\n" * 9, "nothing but"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_one_sentence(what, tmp_path):
    name, data, message = BAD[what]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CorpusError, match=message) as caught:
        load_corpus(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "MAX_FILE_BYTES", 5000)
    monkeypatch.setattr(tables, "MAX_CHARACTERS", 500)
    (tmp_path / "a.txt").write_bytes(gzip.compress(b"x" * 5001))
    with pytest.raises(CorpusError, match="unpacks to more than the 5,000 bytes"):
        load_corpus(tmp_path / "a.txt")
    with pytest.raises(CorpusError, match="has more than 500 characters"):
        load_corpus(write_saved(tmp_path / "saved"), text_field="body")
    (tmp_path / "b.txt").write_text("x" * 4000)
    (tmp_path / "c.txt").write_text("x" * 4000)
    with pytest.raises(CorpusError, match="use a part of it"):  # all files together
        load_corpus([tmp_path / "b.txt", tmp_path / "c.txt"])


def test_a_folder_that_leaves_open_what_is_meant_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="contains no files"):
        load_corpus(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}])
    (tmp_path / "README.md").write_text("What it is.")
    assert "".join(documents(load_corpus(tmp_path))) == "x"
    (tmp_path / "b.txt").write_text("words")
    with pytest.raises(
        CorpusError, match=r"texts \(b\.txt\) and tables \(a\.jsonl\); choose the files to read"
    ):
        load_corpus(tmp_path)
    with pytest.raises(CorpusError, match="plain text, which has no fields; leave out --text-field body"):
        load_corpus(tmp_path / "b.txt", text_field="body")


def test_an_uploaded_table_becomes_a_text_of_the_same_documents(tmp_path):
    rows = [{"text": story, "stars": i} for i, story in enumerate(STORIES)]
    table = write_jsonl(tmp_path / "a.jsonl", rows)
    (tmp_path / "a.txt").write_bytes(text_files.as_one_text(table.read_bytes(), "a.jsonl"))
    assert documents(load_corpus(tmp_path / "a.txt")) == documents(load_corpus(table)) == STORIES
    assert text_files.as_one_text(b"plain words", "a.txt") == b"plain words"
