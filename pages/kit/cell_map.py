"""A matrix as a picture of which any cell answers: a click, Enter or its typed numbers show the cell's formula.

    cell_map.show(CellMap(weights, rows=tokens, columns=tokens), formula, key="c5_heads_square", default=(4, 1))

`formula` gets row and column, counted from 0, and says how that cell was computed (`pages.kit.formulas`). The chosen
cell is kept while the controls around it move, as long as it exists, and lives in the URL as ?c5_heads_square_cell=5,2,
counted from 1. Only this picture runs again for an answer, not the lab around it.
"""

import base64
import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.kit import links
from pages.kit.formulas import Formula

MOST_TEXT = 32  # rows or columns; beyond that no number in a cell can be read
MOST_CELLS = 128  # a side; beyond that the mean of neighbors is drawn
_HERE = Path(__file__)
_HTML = """<div class="room"><div class="cell-map"><div class="drawing">
<p class="axes"></p><div class="scroll"><div class="plot">
<div class="corner"></div><div class="top" aria-hidden="true"></div><div class="side" aria-hidden="true"></div>
<div class="cells" role="grid"><canvas aria-hidden="true"></canvas>
<div class="band"></div><div class="frame"></div></div></div></div>
<div class="choose"><label>Row <input type="number" min="1" step="1"></label>
<label>Column <input type="number" min="1" step="1"></label><span class="readout"></span></div>
<p class="thinned"></p></div><div class="answer" role="status"></div></div></div>"""
_MAP = st.components.v2.component(
    "glassbox_cell_map",
    html=_HTML,
    css=_HERE.with_suffix(".css").read_text(encoding="utf-8"),
    js=_HERE.with_suffix(".js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CellMap:
    """A matrix, the names of its rows and columns, and how it is shaded.

    `what` names a cell's value. Shades run to `highest`, or to the largest value where it is None; below 0 they are
    vermilion. NaN cells stay empty. `numbers` is a format such as ".2f" for text in the cells, left out above 32 × 32;
    `texts` are texts of their own. `first` are the numbers to type for the first row and the first column. `mark_row`
    is framed whole. `height` is that of all rows together, in pixels.
    """

    values: Sequence[Sequence[float]]
    rows: Sequence[str]
    columns: Sequence[str]
    row_title: str = "query"
    column_title: str = "key"
    what: str = "attention weight"
    first: tuple[int, int] = (1, 1)
    highest: float | None = 1.0
    numbers: str | None = None
    texts: Sequence[Sequence[str]] | None = None
    mark_row: int | None = None
    height: int | None = None
    alt: str = ""

    @property
    def step(self) -> int:
        """How many rows and columns are averaged into one drawn cell."""
        return math.ceil(max(len(self.rows), len(self.columns)) / MOST_CELLS) or 1

    def drawn(self) -> list[list[float]]:
        """The values as they are drawn: themselves, or means of blocks of a matrix that is too large."""
        if self.step == 1:
            return [list(row) for row in self.values]
        return [
            [self._mean(i, j) for j in range(0, len(self.columns), self.step)]
            for i in range(0, len(self.rows), self.step)
        ]

    def _mean(self, i: int, j: int) -> float:
        block = [value for row in self.values[i : i + self.step] for value in row[j : j + self.step]]
        known = [value for value in block if math.isfinite(value)]
        return sum(known) / len(known) if known else math.nan

    def cell_texts(self) -> list[list[str]] | None:
        """The values of the cells, or None if they could not be read."""
        if max(len(self.rows), len(self.columns)) > MOST_TEXT:
            return None
        if self.texts is not None:
            return [list(row) for row in self.texts]
        return [[cell_text(x, self.numbers) for x in row] for row in self.values] if self.numbers else None


def cell_text(value: float, form: str) -> str:
    """A number as shown in a cell; empty for NaN."""
    if math.isnan(value):
        return ""
    return ("−∞" if value == -math.inf else format(value, form)).replace("-", "−")


@st.fragment
def show(
    drawing: CellMap, formula: Callable[[int, int], Formula], *, key: str, default: tuple[int, int]
) -> None:
    """Draw a matrix and the formula of one of its cells: the one chosen, or `default` until one is."""
    row, column = _chosen(drawing, f"{key}_cell", default)

    def choose() -> None:
        i, j = st.session_state[key].chosen
        st.session_state[f"{key}_cell"] = (int(i), int(j))

    drawn = drawing.drawn()
    finite = [abs(value) for line in drawn for value in line if math.isfinite(value)]
    top = max(finite, default=1.0) if drawing.highest is None else drawing.highest
    note = ""
    if drawing.step > 1:
        note = (
            f"Each cell shown is the mean of {drawing.step} × {drawing.step} cells. A click selects the first of "
            "them. To select any other, type its row and column."
        )
    _MAP(
        key=key,
        data={
            "values": base64.b64encode(array("f", [x for line in drawn for x in line]).tobytes()).decode(),
            "rows": list(drawing.rows),
            "columns": list(drawing.columns),
            "step": drawing.step,
            "row_title": drawing.row_title,
            "column_title": drawing.column_title,
            "what": drawing.what,
            "first": list(drawing.first),
            "top": top or 1.0,
            "texts": drawing.cell_texts(),
            "mark_row": drawing.mark_row,
            "height": drawing.height,
            "alt": drawing.alt or _alt(drawing),
            "note": note,
            "locked": links.locked(f"{key}_cell"),
            "chosen": [row, column],
            "answer": formula(row, column).as_data(),
        },
        on_chosen_change=choose,
    )


def _chosen(drawing: CellMap, parameter: str, default: tuple[int, int]) -> tuple[int, int]:
    """The cell to show the formula of: what was chosen or linked, as long as it exists."""
    rule = links.Cell(len(drawing.rows), len(drawing.columns))
    text = links.cell_text(default)
    kept = st.session_state.get(parameter)
    if kept is not None and rule.refuses(links.cell_text(kept)):
        kept = st.session_state[parameter] = None  # the matrix has become smaller: no link is to blame
        links.forget(parameter)
    requested = links.read(parameter, rule, None, now=links.cell_text(kept or default))
    links.watch(links.Bound(parameter, rule, text))
    # None is no choice, so that the cell follows the controls around it.
    cell = st.session_state.setdefault(parameter, requested) or default
    links.write(parameter, links.cell_text(cell), text)
    return cell


def _alt(drawing: CellMap) -> str:
    sides = "".join(f"; {title}" for title in (drawing.row_title, drawing.column_title) if title)
    return f"A map of {len(drawing.rows)} by {len(drawing.columns)} cells: {drawing.what}{sides}."
