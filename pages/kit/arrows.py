"""Arrows on little planes: pairs of numbers as directions, side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from pages.kit.figures import BLUE, CLEAR, GREY, ORANGE, Picture

STEP = 2.6  # from the middle of one plane to that of the next
DROP = 3.4


@dataclass(frozen=True, slots=True)
class Arrow:
    """One arrow from the middle of a plane; those of one `name` share a colour. `note` stands at its tip."""

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
    """Planes side by side, all drawn to one scale; `names` are the kinds of arrow, in the order of their colours.

    With `circles` every arrow's tip has its circle: what turning leaves as it is.
    """
    longest = max((math.hypot(a.x, a.y) for plane in shown for a in plane.arrows), default=1.0) or 1.0
    figure = go.Figure()
    for place, plane in enumerate(shown):
        x, y = place % per_row * STEP, -(place // per_row) * DROP
        for dx, dy in ((1, 0), (0, 1)):
            figure.add_shape(
                type="line", x0=x - dx, x1=x + dx, y0=y - dy, y1=y + dy, line={"color": GREY, "width": 0.6}
            )
        radii = {round(math.hypot(a.x, a.y) / longest, 4) for a in plane.arrows} if circles else {1.0}
        for r in radii:
            figure.add_shape(
                type="circle", x0=x - r, x1=x + r, y0=y - r, y1=y + r, line={"color": GREY, "width": 0.6}
            )
        _say(figure, x, y + 1.42, f"<b>{plane.title}</b>", 13)
        if plane.below:
            _say(figure, x, y - 1.28, plane.below, 12)
        said: list[tuple[float, float]] = []
        for arrow in plane.arrows:
            tip = (arrow.x / longest, arrow.y / longest)
            # Where tips lie upon each other one note is read and four are not.
            if arrow.note and all(math.dist(tip, other) > 0.15 for other in said):
                said.append(tip)
                length = math.hypot(arrow.x, arrow.y) or 1.0
                out = 0.16 / length + 1 / longest
                _say(figure, x + arrow.x * out, y + arrow.y * out, arrow.note, 11)
    for name, colour, dash in zip(names, (BLUE, ORANGE), ("solid", "dot")):
        xs, ys = [], []
        for place, plane in enumerate(shown):
            x, y = place % per_row * STEP, -(place // per_row) * DROP
            for arrow in plane.arrows:
                if arrow.name == name:
                    xs += [x, x + arrow.x / longest, None]
                    ys += [y, y + arrow.y / longest, None]
        figure.add_trace(
            go.Scatter(
                x=xs,
                y=ys,
                name=name,
                mode="lines+markers",
                hoverinfo="skip",
                line={"color": colour, "width": 2.5, "dash": dash},
                marker={
                    "symbol": "arrow",
                    "angleref": "previous",
                    "color": colour,
                    # An arrow's foot has no head.
                    "size": [0 if at % 3 == 0 else 12 for at in range(len(xs))],
                },
            )
        )
    n_rows = math.ceil(len(shown) / per_row)
    figure.update_layout(
        height=40 + 230 * n_rows,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        uirevision=revision,
        showlegend=len(names) > 1,
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        hovermode=False,
    )
    figure.update_xaxes(visible=False, range=[-1.3, (min(per_row, len(shown)) - 1) * STEP + 1.3])
    figure.update_yaxes(
        visible=False, scaleanchor="x", range=[-(n_rows - 1) * DROP - 1.6, 1.7], constrain="domain"
    )
    return Picture(figure, alt)


def _say(figure: go.Figure, x: float, y: float, text: str, size: int) -> None:
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, font={"size": size})
