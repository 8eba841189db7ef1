import json
import math
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcore.corpora import hub, sources
from gptcore.corpora.documents import Corpus, CorpusError, text_corpus
from gptcore.corpora.encoding import bytes_per_token, encode_corpus, encode_documents, prepare_corpus
from gptcore.corpora.hub import HubSource, hub_documents
from gptcore.corpora.sources import load_corpus
from gptcore.corpora.windows import Windows, fixed_batches
from gptcore.tokenizer import Tokenizer, story_tokenizer

PARAGRAPHS = "\n\n".join(
    f"Paragraph {i} says that {i} and {i + 1} make {2 * i + 1}.\nIts second line has no more to say."
    for i in range(200)
)
BYTES = Tokenizer()  # 256 bytes and the end-of-text token


# Where text comes from


def parts(corpus: Corpus) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return corpus.train, corpus.validation


def test_a_text_is_cut_once_and_nothing_is_lost():
    corpus = text_corpus(PARAGRAPHS)
    assert corpus.train[0] + corpus.validation[0] == PARAGRAPHS
    assert len(corpus.train) == len(corpus.validation) == 1
    assert corpus.n_characters == len(PARAGRAPHS)
    assert 0.09 < len(corpus.validation[0]) / len(PARAGRAPHS) < 0.16
    lines = text_corpus("a line of words\n" * 300)
    assert lines.train[0].endswith("words\n") and lines.validation[0].startswith("a line")


@given(st.text(st.sampled_from("ab \n中"), min_size=1, max_size=3000))
@settings(max_examples=100, deadline=None)
def test_any_text_is_cut_without_loss_and_most_of_it_is_for_training(text):
    if not text.strip():
        with pytest.raises(CorpusError):
            text_corpus(text)
        return
    corpus = text_corpus(text)
    assert corpus.train[0] + corpus.validation[0] == text
    assert len(corpus.train[0]) >= len(text) / 2


def test_a_short_text_holds_out_about_a_window():
    text = "word " * 800
    assert len(text_corpus(text).validation[0]) >= 1000
    tiny = text_corpus("word " * 60)
    assert 50 <= len(tiny.validation[0]) <= 150


def test_a_text_without_lines_is_cut_before_a_space():
    corpus = text_corpus("word " * 5000)
    assert corpus.validation[0].startswith(" word")


def test_line_ends_and_marks_of_other_systems_are_made_plain():
    corpus = text_corpus("\ufeffone\r\ntwo\rthree\nfour \ud800 five")
    assert corpus.train[0] + corpus.validation[0] == "one\ntwo\nthree\nfour \ufffd five"


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
        (b"", r"file\.txt is empty: give"),
        (b" \n\t \n", r"file\.txt is empty: give"),
        (b"\xef\xbb\xbf", r"file\.txt is empty: give"),
        (b"PK\x03\x04\x00\x00text", r"file\.txt is not text .*NUL"),
        (b"caf\xe9 au lait", r"file\.txt is not text in UTF-8"),
        ("häh".encode("utf-16"), r"file\.txt is not text in UTF-8"),
    ],
)
def test_a_file_that_is_no_text_is_refused_in_one_sentence(tmp_path, content, message):
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=message) as caught:
        load_corpus(path)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_file_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"There is no file .*nothing\.txt: name a text file"):
        load_corpus(tmp_path / "nothing.txt")
    with pytest.raises(CorpusError, match="is a folder: name one text file in it"):
        load_corpus(str(tmp_path))
    with pytest.raises(CorpusError, match=r"can't be read .*: name a text file"):
        load_corpus("nul\0path")
    with pytest.raises(CorpusError, match=r"can't be read .*: name a text file"):
        load_corpus("x" * 5000)


def test_a_file_too_large_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(sources.MAX_FILE_BYTES + 1)
    for read in ("open", "read_bytes", "read_text"):
        monkeypatch.setattr(Path, read, lambda *arguments: pytest.fail("the file is read"))
    with pytest.raises(CorpusError, match="give a part of it"):
        load_corpus(path)


def test_stories_hold_out_the_last_and_know_their_entropy():
    corpus = load_corpus("stories", seed=3, n_stories=60)
    assert (len(corpus.train), len(corpus.validation)) == (57, 3)
    assert len(corpus.entropy) == 3 and all(nats > 0 for nats in corpus.entropy)
    assert not set(corpus.train) & set(corpus.validation)
    assert parts(corpus) == parts(load_corpus("stories", seed=3, n_stories=60))
    assert parts(corpus) != parts(load_corpus("stories", seed=4, n_stories=60))
    with pytest.raises(CorpusError, match="n_stories=1 is too few"):
        load_corpus("stories", n_stories=1)


def test_the_book_is_the_markdown_of_the_repository(tmp_path):
    with pytest.raises(CorpusError, match="book is not here"):
        sources._book(tmp_path)
    for i in range(30):
        path = tmp_path / ("explainers" if i % 2 else "pages/text/en") / f"{i:02}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Chapter {i}\n\nWords of chapter {i}.\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("# Read me\n", encoding="utf-8")
    corpus = sources._book(tmp_path)
    assert len(corpus.train) + len(corpus.validation) == 31
    assert len(corpus.validation) == 2


# The hub


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("imdb", HubSource("imdb", None, "train", None)),
        ("owner/name", HubSource("owner/name", None, "train", None)),
        ("owner/name:test", HubSource("owner/name", None, "test", None)),
        ("owner/name:test:body", HubSource("owner/name", None, "test", "body")),
        ("owner/name/raw::body", HubSource("owner/name", "raw", "train", "body")),
    ],
)
def test_a_hub_name_is_read(text, source):
    assert HubSource.parse(text) == source


@pytest.mark.parametrize("text", ["", ":train", "a/b:train:text:more"])
def test_a_malformed_hub_name_is_refused(text):
    with pytest.raises(CorpusError, match="names no data set: write hub:OWNER/NAME"):
        load_corpus(f"hub:{text}")


@contextmanager
def hub_that_answers(status: int, headers: dict[str, str]):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("error_code", "status", "message"),
    [
        ("RepoNotFound", 404, "hub has no data set 'owner/name'"),
        ("GatedRepo", 403, "asks for consent"),
        ("", 503, "hub can't be reached for owner/name"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(monkeypatch, error_code, status, message):
    from huggingface_hub import constants

    with hub_that_answers(status, {"X-Error-Code": error_code} if error_code else {}) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        with pytest.raises(CorpusError, match=message) as caught:
            load_corpus("hub:owner/name")
    assert "\n" not in str(caught.value)


def test_without_network_the_hub_is_one_sentence_after_one_request(monkeypatch):
    import datasets
    from huggingface_hub import HfApi, constants

    ask, asked = HfApi.dataset_info, []

    def counted(api, name, *, timeout):
        asked.append((name, timeout))
        return ask(api, name, timeout=timeout)

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # a port where nobody answers
    monkeypatch.setattr(HfApi, "dataset_info", counted)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("it tries for half a minute"))
    with pytest.raises(CorpusError, match=r"hub can't be reached .* connect to the network, or choose"):
        load_corpus("hub:owner/name")
    assert asked == [("owner/name", hub.HUB_TIMEOUT_SECONDS)]
    with pytest.raises(CorpusError, match="hub has no data set 'not a name'"):
        load_corpus("hub:not a name")


@pytest.fixture
def data_set(tmp_path):
    """A data set in a local folder, which `datasets` streams as it streams one of the hub."""

    def write(rows: list[dict]) -> HubSource:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "train.jsonl").write_text(lines, encoding="utf-8")
        return HubSource(str(tmp_path), None, "train", None)

    return write


def test_rows_of_a_data_set_are_documents(data_set, monkeypatch):
    source = data_set(
        [{"id": f"n{i}", "text": f"Row {i}.\r\nMore."} for i in range(9)] + [{"id": "", "text": " "}]
    )
    assert list(hub_documents(source)) == [f"Row {i}.\nMore." for i in range(9)]
    assert list(hub_documents(source._replace(column="id"))) == [f"n{i}" for i in range(9)]
    monkeypatch.setattr(hub, "MAX_HUB_ROWS", 4)
    assert len(list(hub_documents(source))) == 4
    monkeypatch.setattr(hub, "MAX_HUB_CHARACTERS", 20)
    assert sum(map(len, hub_documents(source))) <= 20


def test_the_only_column_of_strings_is_taken(data_set):
    assert list(hub_documents(data_set([{"n": 1, "story": "Once."}, {"n": 2, "story": "Twice."}]))) == [
        "Once.",
        "Twice.",
    ]


def test_a_column_or_split_that_is_not_there_is_named(data_set):
    source = data_set([{"question": "Why?", "answer": "Because."}])
    with pytest.raises(CorpusError, match="has no column named text: name one of question, answer"):
        list(hub_documents(source))
    with pytest.raises(CorpusError, match="has no column 'body': name one of"):
        list(hub_documents(source._replace(column="body")))
    with pytest.raises(CorpusError, match="can't be read as hub:") as caught:
        list(hub_documents(source._replace(split="nosuch")))
    assert "\n" not in str(caught.value)


# From text to ids


def test_end_of_text_stands_at_the_end_of_a_document_and_nowhere_else():
    ids = encode_documents(["one\n\ntwo", "three <|endoftext|>\n\n"], BYTES)
    assert ids.dtype == torch.int64 and ids.dim() == 1
    assert (ids == BYTES.eot_id).nonzero().flatten().tolist() == [8, len(ids) - 1]
    assert BYTES.decode(ids) == "one\n\ntwo<|endoftext|>three <|endoftext|>\n\n<|endoftext|>"
    train, validation, _ = prepare_corpus(text_corpus(PARAGRAPHS), BYTES, 32)
    assert (train == BYTES.eot_id).sum() == (validation == BYTES.eot_id).sum() == 1
    assert len(encode_documents([], BYTES)) == 0


def test_a_text_under_64_tokens_is_refused():
    with pytest.raises(
        CorpusError, match="your text has 63 tokens, and training needs 64: give a longer text"
    ):
        prepare_corpus(text_corpus("x" * 63), BYTES, 32)
    train, validation, notes = prepare_corpus(text_corpus("x" * 64), BYTES, 32)
    assert len(train) + len(validation) == 64 + 2
    assert notes == [
        "The validation part has 17 tokens, fewer than a context of 32 needs: its windows hold 16."
    ]
    assert prepare_corpus(text_corpus(PARAGRAPHS), BYTES, 32).notes == []


def test_bytes_per_token_counts_text_only():
    tokenizer = Tokenizer.train(PARAGRAPHS, 400)
    documents = ["Paragraph 7 says ünï 😊.", PARAGRAPHS]
    ids = encode_documents(documents, tokenizer)
    n_bytes = sum(len(document.encode()) for document in documents)
    assert math.isclose(bytes_per_token(ids, tokenizer), n_bytes / len(ids))


# Windows


def starts(windows: Windows, n_batches: int) -> list[int]:
    """Where the windows begin, of ids that are 0 … N - 1."""
    return [int(row[0]) for _ in range(n_batches) for row in windows.next()[0]]


@pytest.mark.parametrize(
    ("n_tokens", "length", "batch_size"),
    [(100, 10, 4), (97, 10, 3), (101, 100, 1), (65, 64, 8), (1000, 7, 5), (9, 8, 3), (2, 1, 1)],
)
def test_every_token_is_a_target_exactly_once_an_epoch(n_tokens, length, batch_size):
    windows = Windows(torch.arange(n_tokens), length, batch_size, seed=5)
    # After this many batches a whole number of epochs has been dealt out, with nothing left over.
    n_batches = n_tokens // math.gcd(n_tokens, length * batch_size)
    n_epochs = n_batches * batch_size * length // n_tokens
    seen = torch.zeros(n_tokens, dtype=torch.int64)
    n_jumps = 0
    for _ in range(n_batches):
        inputs, targets = windows.next()
        assert inputs.shape == targets.shape == (batch_size, length)
        assert torch.equal(inputs[:, 1:], targets[:, :-1])
        seen += targets.flatten().bincount(minlength=n_tokens)
        n_jumps += int(((inputs + 1) % n_tokens != targets).sum())
    assert seen.tolist() == [n_epochs] * n_tokens
    assert n_jumps < n_epochs


def test_batches_are_contiguous_rows_of_int64():
    for part in Windows(torch.arange(50), 8, 3, seed=0).next():
        assert part.is_contiguous() and part.dtype == torch.int64


def test_epochs_differ_in_windows_and_in_order():
    windows = Windows(torch.arange(1000), 10, 10, seed=0)
    first, second = starts(windows, 10), starts(windows, 10)
    in_row = sum((there - here) % 1000 == 10 for here, there in pairwise(first))
    assert in_row < 20  # of 99, if windows came in the order of the text
    assert set(first) != set(second)
    assert len({start % 10 for epoch in range(20) for start in starts(windows, 10)[:1]}) > 5


def test_a_seed_repeats_the_order_and_another_does_not():
    ids = torch.arange(500)
    assert starts(Windows(ids, 10, 4, seed=1), 60) == starts(Windows(ids, 10, 4, seed=1), 60)
    assert starts(Windows(ids, 10, 4, seed=1), 10) != starts(Windows(ids, 10, 4, seed=2), 10)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    starts(Windows(ids, 10, 4, seed=1), 60)
    assert torch.equal(before, torch.get_rng_state())


def test_a_batch_larger_than_an_epoch_is_filled():
    inputs, _ = Windows(torch.arange(11), 10, 64, seed=0).next()
    assert inputs.shape == (64, 10)


@pytest.mark.parametrize("n_before", [0, 1, 7, 24, 25, 26, 60])
def test_a_restored_run_goes_on_with_the_same_batches(n_before):
    ids = torch.arange(103)
    windows = Windows(ids, 4, 3, seed=9)
    for _ in range(n_before):
        windows.next()
    state = json.loads(json.dumps(windows.state()))
    resumed = Windows(ids, 4, 3, seed=9)
    resumed.restore(state)
    for _ in range(40):
        for there, here in zip(windows.next(), resumed.next()):
            assert torch.equal(there, here)


def test_windows_refuse_what_cannot_work():
    with pytest.raises(
        ValueError, match=r"10 tokens are too few for a window of 10.* ask for context_length=9"
    ):
        Windows(torch.arange(10), 10, 1, seed=0)
    with pytest.raises(ValueError, match="batch_size=0 must be 1 or more"):
        Windows(torch.arange(10), 4, 0, seed=0)
    with pytest.raises(ValueError, match="stood in a text of 12 tokens and this one has 10"):
        Windows(torch.arange(10), 4, 1, seed=0).restore(Windows(torch.arange(12), 4, 1, seed=0).state())


@pytest.mark.parametrize(
    ("n_tokens", "length", "batch_size", "n_batches"),
    [
        (1000, 10, 8, 4),
        (1000, 10, 8, 100),
        (57, 10, 4, 3),
        (11, 10, 4, 3),
        (21, 10, 2, 5),
        (5, 10, 4, 3),
        (2, 1, 1, 1),
    ],
)
def test_fixed_batches_are_the_same_disjoint_windows_over_the_whole_text(
    n_tokens, length, batch_size, n_batches
):
    ids = torch.arange(n_tokens)
    batches = fixed_batches(ids, length, batch_size, n_batches)
    again = fixed_batches(ids, length, batch_size, n_batches)
    assert all(torch.equal(a, b) for one, two in zip(batches, again) for a, b in zip(one, two))
    targets = torch.cat([targets.flatten() for _, targets in batches])
    assert all(torch.equal(inputs + 1, targets) for inputs, targets in batches)
    assert len(targets.unique()) == len(targets)
    length = min(length, n_tokens - 1)
    assert len(targets) == length * min((n_tokens - 1) // length, batch_size * n_batches)
    assert len(batches) <= n_batches
    if len(targets) > length:
        assert targets[0] == 1 and targets[-1] == n_tokens - 1


def test_fixed_batches_need_two_tokens():
    with pytest.raises(ValueError, match="1 tokens are too few"):
        fixed_batches(torch.arange(1), 4, 2, 1)


def test_the_ids_of_stories_that_are_kept_are_those_of_their_documents():
    stories = load_corpus("stories", n_stories=60)
    for part, ids in zip((stories.train, stories.validation), encode_corpus(stories, story_tokenizer())):
        assert torch.equal(ids, encode_documents(part, story_tokenizer()))
    again, _ = encode_corpus(stories, story_tokenizer())
    again.zero_()  # whoever writes into what it got spoils nobody else's
    assert encode_corpus(stories, story_tokenizer())[0].any()
