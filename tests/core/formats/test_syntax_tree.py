"""Syntax trees in several threads."""

import argparse
import inspect
import threading

from gptcore.formats.syntax_tree import parse_python


class Slow:
    """Garbage whose end lets other threads in: it is collected while a tree is made."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        for number in range(3_000):
            number += 1


def test_threads_that_parse_at_once_all_get_their_trees():
    source, failed = inspect.getsource(argparse), []

    def parse() -> None:
        for _ in range(12):
            garbage = [Slow() for _ in range(3)]
            try:
                parse_python(source)
            except SystemError as error:
                failed.append(str(error))
            del garbage

    threads = [threading.Thread(target=parse) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
