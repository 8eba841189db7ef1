"""Matrices as still pictures, as in the glossary: shades of one color, and numbers in the cells where they fit."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from pages.kit import escape
from pages.kit.figures import BLUE, VERMILION, Picture, empty_figure

MOST_CELL_TEXT = 32  # rows or columns; beyond that no number in a cell can be read
MOST_NAMES = 32  # along an axis; beyond that every second, third … is named
MOST_CELLS = 128  # a side; beyond that neighbors are averaged for drawing
# From the page's own background to a color: reads in light and in dark.
SHADES = ((0.0, "rgba(42,134,196,0.04)"), (0.5, "rgba(42,134,196,0.55)"), (1.0, "rgba(42,134,196,1)"))
BOTH_WAYS = ((0.0, VERMILION), (0.5, "rgba(128,128,128,0.08)"), (1.0, BLUE))

Matrix = Sequence[Sequence[float]]


def heatmap(
    values: Matrix,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    row_title: str = "query",
    column_title: str = "key",
    what: str = "weight",
    highest: float | None = 1.0,
    signed: bool = False,
    numbers: str | None = None,
    height: int | None = None,
    revision: str = "heatmap",
    alt: str = "",
) -> Picture:
    """A matrix in shades: rows are queries and columns keys, unless the titles say otherwise.

    NaN cells stay empty (what a mask forbids). `numbers` is a format such as ".2f" for text in the cells, left
    out above 32 × 32. `signed` shades from vermilion (negative) through nothing to blue.
    """
    values, rows, columns = _thinned(values, rows, columns)
    n_rows, n_columns = len(values), len(columns)
    finite = [value for row in values for value in row if math.isfinite(value)]
    top = highest if highest is not None else max(map(abs, finite), default=1.0) or 1.0
    angle = -45 if max(map(len, columns), default=0) > 3 else 0
    figure = empty_figure(
        x=column_title,
        y=row_title,
        height=height or 110 + max(26 * n_rows, 90),
        revision=revision,
        x_axis=_named_ticks(columns) | {"tickangle": angle},
        y_axis=_named_ticks(rows) | {"autorange": "reversed"},
        hovermode="closest",
    )
    text = None
    if numbers and max(n_rows, n_columns) <= MOST_CELL_TEXT:
        text = [[_cell(value, numbers) for value in row] for row in values]
    figure.add_trace(
        go.Heatmap(
            z=[[value if math.isfinite(value) else None for value in row] for row in values],
            x=list(range(n_columns)),
            y=list(range(n_rows)),
            name=what,
            zmin=-top if signed else 0,
            zmax=top,
            colorscale=BOTH_WAYS if signed else SHADES,
            showscale=False,
            xgap=1,
            ygap=1,
            text=text,
            texttemplate="%{text}" if text else None,
            customdata=_hover_texts(values, rows, columns),
            hovertemplate=f"%{{customdata[0]}} → %{{customdata[1]}}<br>{what} %{{customdata[2]}}<extra></extra>",
        )
    )
    sides = "".join(f"; {title}" for title in (row_title, column_title) if title)
    return Picture(figure, alt or f"A map of {n_rows} by {n_columns} cells: {what}{sides}.")


def matrix(
    values: Matrix,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    name: str,
    numbers: str = ".2f",
    signed: bool = True,
    row_title: str = "",
    column_title: str = "",
    revision: str = "matrix",
) -> Picture:
    """A small matrix with its numbers in the cells, shaded by size and sign."""
    listed = "; ".join(" ".join(_cell(value, numbers) or "none" for value in row) for row in values)
    picture = heatmap(
        values,
        rows=rows,
        columns=columns,
        row_title=row_title,
        column_title=column_title,
        what=name,
        highest=None if signed else 1.0,
        signed=signed,
        numbers=numbers,
        height=70 + 42 * len(values) + (20 if column_title else 0),
        revision=revision,
        alt=f"{name}, row by row: {listed}.",
    )
    picture.figure.update_traces(textfont={"size": 14})
    return picture


def _cell(value: float, form: str) -> str:
    if value == -math.inf:
        return "−∞"
    return format(value, form).replace("-", "−") if math.isfinite(value) else ""


def _hover_texts(values: Matrix, rows: Sequence[str], columns: Sequence[str]) -> list[list[list[str]]]:
    """For every cell the name of its row, that of its column, and its number."""
    across = [escape.plotly(column) for column in columns]
    return [
        [[escape.plotly(row), column, _cell(value, ".4f")] for column, value in zip(across, line)]
        for row, line in zip(rows, values)
    ]


def _named_ticks(names: Sequence[str]) -> dict[str, object]:
    """An axis with a name at every cell, or at every second, third … where there are too many."""
    every = math.ceil(len(names) / MOST_NAMES) or 1
    return {
        "tickmode": "array",
        "tickvals": list(range(0, len(names), every)),
        "ticktext": [escape.plotly(name) for name in names[::every]],
        "showgrid": False,
        "zeroline": False,
    }


def _thinned(values: Matrix, rows: Sequence[str], columns: Sequence[str]):
    """Average blocks of a matrix too large to draw; each block is named by its first row and column."""
    step = math.ceil(max(len(rows), len(columns)) / MOST_CELLS) if rows and columns else 1
    if step <= 1:
        return [list(row) for row in values], list(rows), list(columns)

    def mean(i: int, j: int) -> float:
        block = [value for row in values[i : i + step] for value in row[j : j + step]]
        known = [value for value in block if math.isfinite(value)]
        return sum(known) / len(known) if known else math.nan

    grid = [[mean(i, j) for j in range(0, len(columns), step)] for i in range(0, len(rows), step)]
    return grid, list(rows)[::step], list(columns)[::step]
