"""Ten visitors open ten different pages of a server that nobody has asked for anything yet, all at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pages.kit.book import TABLE
from tests.browser.conftest import complaints, start_server, stop_server
from tests.security.forged_client import Client

ROUNDS = 2
LONG_ROUNDS = 12
AT_ONCE = 10


def open_at_once(folder, first: int) -> None:
    """Start a server, and open ten pages from the `first` on in the same instant."""
    urls = [TABLE[(first + number) % len(TABLE)].url for number in range(AT_ONCE)]
    server = start_server(folder)
    together = threading.Barrier(AT_ONCE)

    def visit(url: str) -> list[str]:
        together.wait()
        with Client(server.url, "v" * 32, first="" if url == TABLE[0].url else url) as visitor:
            return visitor.landed.exceptions

    try:
        with ThreadPoolExecutor(AT_ONCE) as visitors:
            exceptions = dict(zip(urls, visitors.map(visit, urls)))
    finally:
        stop_server(server)
    assert {url: said for url, said in exceptions.items() if said} == {}
    assert not complaints(server)


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_ten_first_visitors_meet_no_exception(turn, tmp_path):
    open_at_once(tmp_path, turn * 7)


@pytest.mark.long
@pytest.mark.parametrize("turn", range(LONG_ROUNDS))
def test_ten_first_visitors_meet_no_exception_however_often(turn, tmp_path):
    open_at_once(tmp_path, turn * 3)
