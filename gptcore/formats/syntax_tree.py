"""Syntax trees of Python source, for one thread at a time.

Python 3.11 counts how deep it is in a tree for all threads together: of two threads that make trees at once, one now
and then gets "SystemError: AST constructor recursion depth mismatch".
"""

import ast
import threading

ONE_PARSER = (
    threading.Lock()
)  # also around what parses source without saying so, such as `inspect` for a class


def parse_python(source: str) -> ast.Module:
    """Return the syntax tree of source; raises SyntaxError."""
    with ONE_PARSER:
        return ast.parse(source)
