"""How every figure looks: colors, frame, reference lines; and `show`, which puts one on the page.

The colors are Okabe and Ito's, which readers with any kind of color vision tell apart; text, grid and
background are left to Streamlit's theme, so a figure reads the same in light and in dark.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import plotly.graph_objects as go
import streamlit as st

BLUE = "#2A86C4"  # lighter than Okabe and Ito's #0072B2, which is too dark on a dark page
ORANGE = "#E69F00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
VERMILION = "#D55E00"
GREY = "#8A949C"
CLEAR = "rgba(0,0,0,0)"

# A figure draws at most this many points of one curve; more only slow the browser down.
MOST_POINTS = 600

# The bar of buttons over a figure covers the legend on a small screen; zoom works without it.
CONFIG = {"displayModeBar": False, "scrollZoom": False, "responsive": True}


class Picture(NamedTuple):
    """A figure and its text alternative."""

    figure: go.Figure
    alt: str


class Line(NamedTuple):
    """A level to compare with: a horizontal line and its name."""

    name: str
    value: float | None


def show(picture: Picture, *, key: str) -> None:
    """Put a figure on the page, with its words for those who cannot see it."""
    st.plotly_chart(picture.figure, key=key, config=CONFIG, alt=picture.alt)


def empty_figure(
    *,
    x: str,
    y: str,
    height: int = 320,
    revision: str = "kept",
    x_axis: Mapping[str, object] | None = None,
    y_axis: Mapping[str, object] | None = None,
    **layout: object,
) -> go.Figure:
    """An empty figure with named axes; zoom and pan survive updates for as long as `revision` stays.

    `x_axis`, `y_axis` and `layout` are further settings as Plotly names them. Handed over at once they take less
    time than `update_xaxes`, `update_yaxes` and `update_layout`.
    """
    return go.Figure(
        layout={
            "height": height,
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "uirevision": revision,
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
            "hovermode": "x unified",
            # Streamlit pads the tick labels by 8 px and more, which the distance of a title does not count.
            "xaxis": {"title": {"text": x, "standoff": 12}, "automargin": True} | dict(x_axis or {}),
            "yaxis": {"title": {"text": y, "standoff": 18}, "automargin": True} | dict(y_axis or {}),
        }
        | layout
    )


def dotted_line(
    figure: go.Figure, *, x: float | None = None, y: float | None = None, color: str = GREY
) -> None:
    """Draw a dotted line across a figure: upright at `x`, or level at `y`.

    Plotly's own functions for such lines take thirteen times as long.
    """
    if x is not None:
        ends = {"x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "y domain"}
    else:
        ends = {"y0": y, "y1": y, "x0": 0, "x1": 1, "xref": "x domain"}
    line = {"type": "line", "line": {"color": color, "width": 1.5, "dash": "dot"}}
    figure.layout.shapes = (*figure.layout.shapes, line | ends)


def add_lines(figure: go.Figure, lines: Iterable[Line], x_range: Sequence[float]) -> None:
    """Draw levels across a figure, each with its name at the right end; a logarithmic axis must be set before.

    There a curve is placed by its value and a note by the value's logarithm, and a level of 0 or less has no place.
    """
    is_log = figure.layout.yaxis.type == "log"
    names = []
    for line in lines:
        if line.value is None or not math.isfinite(line.value) or (is_log and line.value <= 0):
            continue
        figure.add_trace(
            go.Scatter(
                x=list(x_range),
                y=[line.value] * len(x_range),
                name=line.name,
                mode="lines",
                line={"color": GREY, "width": 1.2, "dash": "dot"},
                showlegend=False,
                hovertemplate=f"{line.name}: %{{y:.3f}}<extra></extra>",
            )
        )
        names.append(
            {
                "x": 1,
                "xref": "x domain",
                "y": math.log10(line.value) if is_log else line.value,
                "text": f"{line.name} {line.value:.2f}",
                "showarrow": False,
                "xanchor": "right",
                "yanchor": "bottom",
                "font": {"size": 11},
            }
        )
    figure.layout.annotations = (*figure.layout.annotations, *names)


def faint(color: str) -> str:
    """A color for the area behind a curve of that color."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"


def ribbon(
    x: Sequence[float], low: Sequence[float], high: Sequence[float], color: str, *, name: str
) -> go.Scatter:
    """The area between two curves over one x, behind a curve of that color and name."""
    return go.Scatter(
        x=[*x, *reversed(x)],
        y=[*high, *reversed(low)],
        name=name,
        mode="lines",
        fill="toself",
        fillcolor=faint(color),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


def thin(x: Sequence[float], y: Sequence[float], most: int = MOST_POINTS) -> tuple[list[float], list[float]]:
    """Average neighbors until at most `most` points are left; x is the last of each group."""
    n = len(x)
    if n <= most:
        return list(x), list(y)
    size = math.ceil(n / most)
    starts = range(0, n, size)
    means = [sum(y[i : i + size]) / len(y[i : i + size]) for i in starts]
    return [x[min(i + size, n) - 1] for i in starts], means
