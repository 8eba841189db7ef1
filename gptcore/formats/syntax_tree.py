"""Syntax trees of Python source, for one thread at a time.

Python 3.11 counts how deep it is in a tree for all threads together: of two threads that make trees at once, one now
and then gets "SystemError: AST constructor recursion depth mismatch".
"""

import ast
import inspect
import threading

_ONE_PARSER = threading.Lock()


def parse_python(source: str) -> ast.Module:
    """Return the syntax tree of source; raises SyntaxError."""
    with _ONE_PARSER:
        return ast.parse(source)


def source_lines(value: object) -> tuple[list[str], int]:
    """Return the source lines of a function, class or module, and the number of the first; raises OSError.

    To find a class, `inspect` makes the tree of its whole file.
    """
    with _ONE_PARSER:
        return inspect.getsourcelines(value)
