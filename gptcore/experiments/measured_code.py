"""A fingerprint of the code that measures a claim, to detect results of an earlier version of it.

It covers the function, the functions and constants of the same package that it uses, and theirs. Comments, docstrings
and line breaks don't count, nor does code outside the package: a faster model is still the same measurement.
"""

import hashlib
import inspect
import io
import tokenize
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType, FunctionType

from gptcore.formats.syntax_tree import source_lines

PACKAGE = "gptcore.experiments."
_PLAIN = (bool, int, float, str, bytes, type(None))
_F_STRING = (
    getattr(tokenize, "FSTRING_START", None),
    getattr(tokenize, "FSTRING_END", None),
)  # since Python 3.12
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


@cache
def fingerprint(measure: Callable) -> str:
    """Return a hash, as 16 hexadecimal digits, of a function and of what it uses in `gptcore.experiments`."""
    parts: dict[str, str] = {}
    waiting = [(measure.__name__, measure)]
    while waiting:
        name, value = waiting.pop()
        if name not in parts:
            parts[name] = _written(value)
            waiting += _used(value)
    text = "\n".join(f"{name}: {parts[name]}" for name in sorted(parts))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _used(value: object) -> Iterator[tuple[str, object]]:
    """Yield what a function or a class uses of this package, and constants, each with its module and name."""
    members = vars(value).values() if isinstance(value, type) else [value]
    for function in (inspect.unwrap(member) for member in members if callable(member)):
        if (
            isinstance(function, FunctionType) and function.__module__ != "dataclasses"
        ):  # what it adds differs by Python
            known = function.__globals__
            for name in _names(function.__code__):
                if name in known and (_is_ours(known[name]) or _is_plain(known[name])):
                    yield f"{function.__module__}.{name}", known[name]


def _is_ours(value: object) -> bool:
    is_code = isinstance(value, type) or inspect.isfunction(value)
    return is_code and (value.__module__ or "").startswith(PACKAGE)


def _is_plain(value: object) -> bool:
    """Return whether a value is a constant whose text is the same in every process."""
    if isinstance(value, dict):
        return all(map(_is_plain, [*value, *value.values()]))
    return all(map(_is_plain, value)) if isinstance(value, tuple | list) else isinstance(value, _PLAIN)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _written(value: object) -> str:
    """Return the source of a function or a class without its layout, or a constant as Python writes it."""
    if _is_plain(value):
        return repr(value)
    words, starts, inside = [], True, 0
    for token in tokenize.generate_tokens(io.StringIO("".join(source_lines(value)[0])).readline):
        if token.type == _F_STRING[0] and (starts or inside):
            inside += 1
        elif inside:
            inside -= token.type == _F_STRING[1]
        elif token.type in _LAYOUT:
            starts = True
        elif not (
            starts and token.type == tokenize.STRING
        ):  # one that begins a line is a docstring or a message
            words.append("".join(token.string.split()))
            starts = False
    return "".join(words)
