"""The loss over two weights as a map with lines of equal height, and the way that was walked on it."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from pages.kit.figures import BLUE, GREEN, GREY, ORANGE, Picture, empty_figure


def descent(
    ws: Sequence[float],
    bs: Sequence[float],
    losses: Sequence[Sequence[float]],
    path: Sequence[tuple[float, float]],
    lowest: tuple[float, float],
    *,
    revision: str = "descent",
) -> Picture:
    """Lines of equal loss over w and b, the steps taken on them, and the lowest point.

    Heights are drawn as logarithms, so that lines also part the flat ground near the lowest point.
    """
    figure = empty_figure(x="weight w", y="weight b", height=340, revision=revision)
    heights = [[math.log10(max(loss, 1e-6)) for loss in row] for row in losses]
    figure.add_trace(
        go.Contour(
            x=list(ws),
            y=list(bs),
            z=heights,
            ncontours=14,
            contours={"coloring": "lines"},
            colorscale=[[0, BLUE], [1, GREY]],
            line={"width": 1},
            showscale=False,
            hoverinfo="skip",
        )
    )
    inside = [(w, b) for w, b in path if math.isfinite(w) and math.isfinite(b)]
    figure.add_trace(
        go.Scatter(
            x=[w for w, _ in inside],
            y=[b for _, b in inside],
            mode="lines+markers",
            name="steps",
            line={"color": ORANGE, "width": 2},
            marker={"size": 6},
            text=[f"step {index}" for index in range(len(inside))],
            hovertemplate="%{text}: w %{x:.3g}, b %{y:.3g}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[lowest[0]],
            y=[lowest[1]],
            mode="markers",
            name="minimum",
            marker={"symbol": "star", "size": 13, "color": GREEN},
            hovertemplate="minimum: w %{x:.3g}, b %{y:.3g}<extra></extra>",
        )
    )
    figure.update_layout(hovermode="closest", xaxis_range=[min(ws), max(ws)], yaxis_range=[min(bs), max(bs)])
    first, last = inside[0], inside[-1]
    return Picture(
        figure,
        f"A map of the loss over w and b: gradient descent takes {len(inside) - 1} steps from "
        f"({first[0]:.3g}, {first[1]:.3g}) to ({last[0]:.3g}, {last[1]:.3g}); "
        f"the minimum is at ({lowest[0]:.3g}, {lowest[1]:.3g}).",
    )
