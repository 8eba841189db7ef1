"""Syntax trees in several threads."""

import argparse
import ast
import inspect
import threading

from gptcore.experiments import claims
from gptcore.experiments.measured_code import fingerprint
from gptcore.formats import syntax_tree
from gptcore.formats.syntax_tree import parse_python, source_lines


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


def test_whatever_reads_source_makes_its_trees_one_at_a_time(monkeypatch):
    parse, held = ast.parse, []

    def parse_and_note(*args, **kwargs):
        held.append(syntax_tree._ONE_PARSER.locked())
        return parse(*args, **kwargs)

    monkeypatch.setattr(ast, "parse", parse_and_note)
    for claim in claims.registry().values():
        fingerprint.__wrapped__(claim.measure)
    assert source_lines(argparse.ArgumentParser)[0][0].startswith("class ArgumentParser")
    assert len(held) > 2
    assert all(held)
