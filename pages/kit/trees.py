"""A search as a tree: one row per step, the most probable on the left, boxes for tokens. Numbers in, a figure out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from pages.kit import escape
from pages.kit.chips import visible
from pages.kit.figures import GREEN, GREY, ORANGE, VERMILION, Picture, empty_figure

LONGEST = 10  # characters of a token in its box
STEP = 32  # pixels from one row to the next
CROWDED = 6  # boxes that stand beside each other on a narrow screen; of more, every other one stands lower
LOWER = 0.4  # of a row
GAP = 0.2  # of a row: lines begin below a box and end above the next, so that they cross no letters
# What became of a token: the color of its box, its writing and its frame. Writing stands out by 4.5 to 1; None is the
# theme's own color for text.
BOXES = {
    "kept": ("#0072B2", "white", "#0072B2"),
    "ended": (GREEN, "black", GREEN),
    "cut": ("rgba(138,148,156,0.12)", None, GREY),
    "greedy": ("rgba(138,148,156,0.12)", None, VERMILION),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """One token of a search: its row (from 1), the place of what it follows in the list (0: the prompt), its fate.

    `note` shows when the mouse rests on it.
    """

    token: str
    row: int
    parent: int
    fate: str
    note: str = ""


def beam_tree(
    leaves: Sequence[Leaf],
    *,
    best: Sequence[int],
    greedy: Sequence[int],
    root: str,
    revision: str = "tree",
) -> Picture:
    """A search from the prompt downwards: what went on, what ended, what was cut, and two paths to compare.

    `leaves` stand in the order of their likelihood within a row; the first is the prompt. `best` and `greedy` are
    indices in it.
    """
    rows: dict[int, list[int]] = {}
    for index, leaf in enumerate(leaves):
        rows.setdefault(leaf.row, []).append(index)
    widest = max(map(len, rows.values()))
    x = {index: column for here in rows.values() for column, index in enumerate(here)}
    x[0] = (min(widest, 3) - 1) / 2
    lower = LOWER if widest > CROWDED else 0.0
    y = {index: leaf.row + lower * (index > 0 and x[index] % 2) for index, leaf in enumerate(leaves)}
    depth = max(rows)
    height = 60 + round(STEP * (1 + lower) * (depth + 1))
    boxes = [
        _box(
            root if index == 0 else leaf.token,
            leaf,
            BOXES[leaf.fate if index else "kept"],
            x[index],
            y[index],
        )
        for index, leaf in enumerate(leaves)
    ]
    figure = empty_figure(
        x="",
        y="token",
        height=height,
        revision=revision,
        x_axis={"visible": False, "range": [-0.6, widest - 0.4]},
        y_axis={
            "range": [depth + 0.5 + lower, -0.5],
            "tickmode": "array",
            "tickvals": list(range(1, depth + 1)),
            "showgrid": False,
            "zeroline": False,
        },
        hovermode="closest",
        annotations=boxes,  # all at once: Plotly looks at every earlier one when another is added
    )
    paths = (
        ("considered", list(range(1, len(leaves))), GREY, "solid", 1),
        ("greedy", greedy, VERMILION, "dot", 3),
        ("best beam", best, ORANGE, "solid", 3),
    )
    for name, indices, color, dash, width in paths:
        figure.add_trace(_path(name, indices, leaves, x, y, {"color": color, "width": width, "dash": dash}))
    return Picture(figure, _said(leaves, best, greedy))


def _path(
    name: str,
    indices: Sequence[int],
    leaves: Sequence[Leaf],
    x: Mapping[int, float],
    y: Mapping[int, float],
    line: Mapping[str, object],
) -> go.Scatter:
    """Lines from the leaves at these indices to the leaves that they follow."""
    xs, ys = [], []
    for index in indices:
        above = leaves[index].parent
        xs += [x[above], x[index], None]
        ys += [y[above] + GAP, y[index] - GAP, None]
    return go.Scatter(x=xs, y=ys, mode="lines", name=name, hoverinfo="skip", line=dict(line))


def _box(
    token: str, leaf: Leaf, colors: tuple[str, str | None, str], x: float, y: float
) -> dict[str, object]:
    """The box of a token, with the colors of its fate: ground, writing, frame."""
    fill, ink, edge = colors
    return {
        "x": x,
        "y": y,
        "text": _boxed(token),
        "hovertext": escape.plotly(leaf.note) or None,
        "showarrow": False,
        "bgcolor": fill,
        "bordercolor": edge,
        "borderwidth": 1,
        "borderpad": 2,
        "font": {"size": 11, "color": ink},
    }


def _boxed(token: str) -> str:
    shown = visible(token)
    shown = shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"
    return escape.plotly(shown)


def _said(leaves: Sequence[Leaf], best: Sequence[int], greedy: Sequence[int]) -> str:
    fates = [leaf.fate for leaf in leaves[1:]]
    counts = (
        f"{fates.count('kept')} tokens kept, {fates.count('ended')} finished, {fates.count('cut')} dropped"
    )
    texts = {
        name: "".join(leaves[index].token for index in path).strip()
        for name, path in (("best", best), ("greedy", greedy))
    }
    return f"Beam search as a tree: {counts}. Best: {texts['best']}. Greedy: {texts['greedy']}."
