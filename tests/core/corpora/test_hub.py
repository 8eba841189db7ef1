"""Data sets of the Hugging Face hub: their names, their rows, and what the hub refuses."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gptcore.corpora import hub
from gptcore.corpora.documents import CorpusError
from gptcore.corpora.hub import HubSource, hub_documents
from gptcore.corpora.sources import load_corpus


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
    with pytest.raises(CorpusError, match="does not name a data set; write hub:OWNER/NAME"):
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
        ("GatedRepo", 403, "requires consent"),
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
    with pytest.raises(CorpusError, match="has no field named text; choose one of question, answer"):
        list(hub_documents(source))
    with pytest.raises(CorpusError, match="has no field 'body' with text; choose one of"):
        list(hub_documents(source._replace(column="body")))
    with pytest.raises(CorpusError, match="can't be read as hub:") as caught:
        list(hub_documents(source._replace(split="nosuch")))
    assert "\n" not in str(caught.value)
