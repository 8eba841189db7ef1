"""Numbers, matrices and dot products in LaTeX, as the worked examples print them."""

import math
from collections.abc import Collection, Sequence


def number(value: float, form: str = ".4f") -> str:
    r"""A number in LaTeX: trailing zeros cut, minus infinity as a sign.

    >>> number(0.5), number(-math.inf), number(2.0)
    ('0.5', '-\\infty', '2')
    """
    if value == -math.inf:
        return r"-\infty"
    text = format(value, form)
    text = text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
    return "0" if text in ("-0", "") else text


def matrix(
    values: Sequence[Sequence[float]], form: str = ".4f", marked: Collection[tuple[int, int]] = ()
) -> str:
    """A matrix in LaTeX; marked cells are framed."""

    def cell(i: int, j: int) -> str:
        text = number(values[i][j], form)
        return rf"\boxed{{{text}}}" if (i, j) in marked else text

    rows = [" & ".join(cell(i, j) for j in range(len(row))) for i, row in enumerate(values)]
    return r"\begin{pmatrix}" + r" \\ ".join(rows) + r"\end{pmatrix}"


def dot(a: Sequence[float], b: Sequence[float], form: str = ".4f") -> str:
    r"""A dot product in LaTeX with its numbers put in.

    >>> dot((0.8, 0.1), (0.6, -0.3))
    '0.8 \\cdot 0.6 + 0.1 \\cdot (-0.3) = 0.45'
    """
    terms = " + ".join(rf"{signed(x, form)} \cdot {signed(y, form)}" for x, y in zip(a, b, strict=True))
    return f"{terms} = {number(sum(x * y for x, y in zip(a, b)), form)}"


def signed(value: float, form: str = ".4f") -> str:
    """A number in LaTeX that may follow a sign: negative ones in brackets."""
    text = number(value, form)
    return f"({text})" if text.startswith("-") else text


def whole(value: int) -> str:
    """A whole number in LaTeX, with its thousands separated.

    >>> whole(1115264)
    '1{,}115{,}264'
    """
    return f"{value:,}".replace(",", "{,}")
