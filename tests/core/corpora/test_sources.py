"""Where text comes from: files, pasted text, stories and the book."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gptcore.corpora import sources, text_files
from gptcore.corpora.documents import Corpus, CorpusError, text_corpus
from gptcore.corpora.sources import load_corpus
from tests.core.corpora.sample_texts import PARAGRAPHS


def parts(corpus: Corpus) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return corpus.train, corpus.validation


def test_a_file_and_a_paste_of_it_are_the_same_corpus(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(("\ufeff" + PARAGRAPHS).encode())
    corpus = load_corpus(path)
    assert corpus.name == "notes.txt"
    pasted, named = text_corpus(PARAGRAPHS), load_corpus(str(path))
    assert parts(corpus) == parts(pasted) == parts(named)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"file\.txt is empty; choose"),
        (b" \n\t \n", r"file\.txt is empty; choose"),
        (b"\xef\xbb\xbf", r"file\.txt is empty; choose"),
        (b"PK\x03\x04\x00\x00text", r"file\.txt is not text, .*NUL"),
        (b"caf\xe9 au lait", r"file\.txt is not UTF-8 text"),
        ("häh".encode("utf-16"), r"file\.txt is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_text_is_refused_in_one_sentence(tmp_path, content, message):
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=message) as caught:
        load_corpus(path)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_file_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"There is no file .*nothing\.txt; choose a text file"):
        load_corpus(tmp_path / "nothing.txt")
    with pytest.raises(CorpusError, match="contains no files; choose a folder with texts"):
        load_corpus(str(tmp_path))
    with pytest.raises(CorpusError, match=r"can't be read .*; choose a text file"):
        load_corpus("nul\0path")
    with pytest.raises(CorpusError, match=r"can't be read .*; choose a text file"):
        load_corpus("x" * 5000)


def test_a_file_too_large_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(text_files.MAX_FILE_BYTES + 1)
    for read in ("open", "read_bytes", "read_text"):
        monkeypatch.setattr(Path, read, lambda *arguments: pytest.fail("the file is read"))
    with pytest.raises(CorpusError, match="use a part of it"):
        load_corpus(path)


def test_stories_hold_out_the_last_and_know_their_entropy():
    corpus = load_corpus("stories", seed=3, n_stories=60)
    assert (len(corpus.train), len(corpus.validation)) == (57, 3)
    assert len(corpus.entropy) == 3 and all(nats > 0 for nats in corpus.entropy)
    assert not set(corpus.train) & set(corpus.validation)
    assert parts(corpus) == parts(load_corpus("stories", seed=3, n_stories=60))
    assert parts(corpus) != parts(load_corpus("stories", seed=4, n_stories=60))
    with pytest.raises(CorpusError, match="n_stories=1 must be at least 2"):
        load_corpus("stories", n_stories=1)


def test_the_book_is_the_markdown_of_the_repository(tmp_path):
    with pytest.raises(CorpusError, match="book needs the Glassbox repository"):
        sources._book(tmp_path)
    for i in range(30):
        path = tmp_path / ("explainers" if i % 2 else "pages/text/en") / f"{i:02}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Chapter {i}\n\nWords of chapter {i}.\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("# Read me\n", encoding="utf-8")
    corpus = sources._book(tmp_path)
    assert len(corpus.train) + len(corpus.validation) == 31
    assert len(corpus.validation) == 2


_KEPT = """
import psutil
from gptcore.corpora.sources import load_corpus
from gptcore.resources import return_freed_memory

before = psutil.Process().memory_info().rss
corpus = load_corpus("stories")
return_freed_memory()
print((psutil.Process().memory_info().rss - before) / corpus.n_characters)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries return memory as they see fit"
)
def test_a_process_that_reads_the_stories_keeps_little_but_their_text():
    """With a string for each sentence it kept 3.2 bytes a character."""
    done = subprocess.run([sys.executable, "-c", _KEPT], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2
