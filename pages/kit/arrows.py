"""Arrows on little planes: pairs of numbers as directions, side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pages.kit.figures import BLUE, CLEAR, GREY, ORANGE, Picture

STEP = 2.6  # from the middle of one plane to that of the next
DROP = 3.4


@dataclass(frozen=True, slots=True)
class Arrow:
    """One arrow from the middle of a plane; those of one `name` share a color. `note` is shown at its tip."""

    x: float
    y: float
    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Plane:
    """A circle with arrows in it, a title above and a line below."""

    title: str
    arrows: Sequence[Arrow]
    below: str = ""


def planes(
    shown: Sequence[Plane],
    *,
    names: Sequence[str],
    alt: str,
    per_row: int = 4,
    circles: bool = False,
    revision: str = "planes",
) -> Picture:
    """Planes side by side, all drawn to one scale; `names` are the kinds of arrow, in the order of their colors.

    With `circles` every arrow's tip has its circle: what turning leaves as it is.
    """
    longest = max((math.hypot(a.x, a.y) for plane in shown for a in plane.arrows), default=1.0) or 1.0
    middles = [(index % per_row * STEP, -(index // per_row) * DROP) for index in range(len(shown))]
    shapes: list[dict[str, Any]] = []
    written: list[dict[str, Any]] = []
    for plane, (x, y) in zip(shown, middles):
        shapes += _axes(x, y)
        radii = {round(math.hypot(a.x, a.y) / longest, 4) for a in plane.arrows} if circles else {1.0}
        shapes += [_circle(x, y, radius) for radius in radii]
        written.append(_written(x, y + 1.42, f"<b>{plane.title}</b>", 13))
        if plane.below:
            written.append(_written(x, y - 1.28, plane.below, 12))
        written += _notes(x, y, plane.arrows, longest)
    n_rows = math.ceil(len(shown) / per_row)
    lowest = -(n_rows - 1) * DROP - 1.6
    figure = go.Figure(
        data=[
            _arrows_named(name, shown, middles, longest, color, dash)
            for name, color, dash in zip(names, (BLUE, ORANGE), ("solid", "dot"))
        ],
        layout={
            "shapes": shapes,
            "annotations": written,
            "height": 40 + 230 * n_rows,
            "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "uirevision": revision,
            "showlegend": len(names) > 1,
            "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
            "hovermode": False,
            "xaxis": {"visible": False, "range": [-1.3, (min(per_row, len(shown)) - 1) * STEP + 1.3]},
            "yaxis": {"visible": False, "scaleanchor": "x", "range": [lowest, 1.7], "constrain": "domain"},
        },
    )
    return Picture(figure, alt)


def _axes(x: float, y: float) -> list[dict[str, Any]]:
    line = {"color": GREY, "width": 0.6}
    return [
        {"type": "line", "x0": x - dx, "x1": x + dx, "y0": y - dy, "y1": y + dy, "line": line}
        for dx, dy in ((1, 0), (0, 1))
    ]


def _circle(x: float, y: float, radius: float) -> dict[str, Any]:
    ends = {"x0": x - radius, "x1": x + radius, "y0": y - radius, "y1": y + radius}
    return {"type": "circle", **ends, "line": {"color": GREY, "width": 0.6}}


def _notes(x: float, y: float, arrows: Sequence[Arrow], longest: float) -> list[dict[str, Any]]:
    """The notes at the tips of a plane's arrows; where tips lie on each other, only the first can be read."""
    noted: list[tuple[float, float]] = []
    written = []
    for arrow in arrows:
        tip = (arrow.x / longest, arrow.y / longest)
        if arrow.note and all(math.dist(tip, other) > 0.15 for other in noted):
            noted.append(tip)
            length = math.hypot(arrow.x, arrow.y) or 1.0
            out = 0.16 / length + 1 / longest
            written.append(_written(x + arrow.x * out, y + arrow.y * out, arrow.note, 11))
    return written


def _arrows_named(
    name: str,
    shown: Sequence[Plane],
    middles: Sequence[tuple[float, float]],
    longest: float,
    color: str,
    dash: str,
) -> go.Scatter:
    """All arrows of one name, on all planes, as one trace."""
    xs, ys = [], []
    for plane, (x, y) in zip(shown, middles):
        for arrow in plane.arrows:
            if arrow.name == name:
                xs += [x, x + arrow.x / longest, None]
                ys += [y, y + arrow.y / longest, None]
    return go.Scatter(
        x=xs,
        y=ys,
        name=name,
        mode="lines+markers",
        hoverinfo="skip",
        line={"color": color, "width": 2.5, "dash": dash},
        marker={
            "symbol": "arrow",
            "angleref": "previous",
            "color": color,
            # An arrow's foot has no head.
            "size": [0 if at % 3 == 0 else 12 for at in range(len(xs))],
        },
    )


def _written(x: float, y: float, text: str, size: int) -> dict[str, Any]:
    return {"x": x, "y": y, "text": text, "showarrow": False, "font": {"size": size}}
