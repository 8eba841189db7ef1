"""The worked example: numbered steps, each with its numbers put in.

A lesson link with ?step=3 opens the first three and a button for the next, so that a class can guess first.
"""

import math
from collections.abc import Collection, Sequence

import streamlit as st

from pages.kit import controls, links


class Steps:
    """Counts the steps of one worked example and tells which of them are open."""

    def __init__(self, total: int):
        self.total, self.at = total, 0
        self.open = min(links.step() or total, total)

    def __call__(self, title: str) -> bool:
        """Begin the next step; False where the lesson link keeps it closed."""
        self.at += 1
        if self.at <= self.open:
            st.markdown(f"##### {self.at} · {title}", anchors=False)
            return True
        if self.at == self.open + 1:
            st.button(
                f"Show step {self.at} of {self.total}",
                key=f"next_step_{self.total}",
                icon=":material/expand_more:",
                on_click=links.keep,
                args=("step", str(self.at) if self.at < self.total else None),
            )
        return False


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


def cell(n_rows: int, n_columns: int, key: str, label: str) -> tuple[int, int]:
    """Choose one cell of a matrix, row and column; it lives in the URL as ?key=2,1, counted from 1."""
    options = [f"{row},{column}" for row in range(1, n_rows + 1) for column in range(1, n_columns + 1)]
    row, column = controls.listed(label, key, options).split(",")
    return int(row) - 1, int(column) - 1
