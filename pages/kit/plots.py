"""Figures for numbers other than training curves: curves with bands, areas, clocks, points on a map."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from pages.kit import dim_colors, escape
from pages.kit.figures import (
    BLUE,
    CLEAR,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    Line,
    Picture,
    add_lines,
    dotted_line,
    empty_figure,
    ribbon,
)

COLORS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, GREY)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid")
# Marks of another form for every curve: color alone tells nothing to some readers.
MARKS = ("circle", "square", "diamond", "triangle-up", "x", "cross")


class Band(NamedTuple):
    """One curve: its middle, and the range of its repetitions where there are any."""

    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def curves(
    x: Sequence[float],
    bands: Mapping[str, Band | Sequence[float]],
    *,
    x_title: str,
    y_title: str,
    log_x: bool = False,
    log_y: bool = False,
    lines: Sequence[Line] = (),
    mark_x: float | None = None,
    y_range: tuple[float, float] | None = None,
    height: int = 320,
    revision: str = "curves",
    what: str = "",
) -> Picture:
    """Curves over one x, each with the band of its repetitions; `mark_x` is where the learner stands."""
    x_axis: dict[str, object] = {}
    if log_x:
        x_axis = {"type": "log", "dtick": math.log10(2) if x and max(x) / min(x) <= 64 else None}
        if len(x) <= 12:
            x_axis |= {"tickmode": "array", "tickvals": list(x), "ticktext": [f"{value:g}" for value in x]}
    y_axis: dict[str, object] = {"type": "log"} if log_y else {}
    if y_range:
        y_axis["range"] = [math.log10(y) for y in y_range] if log_y else list(y_range)
    figure = empty_figure(
        x=x_title, y=y_title, height=height, revision=revision, x_axis=x_axis, y_axis=y_axis
    )
    ends = []
    for (plain, band), color, dash, mark in zip(bands.items(), COLORS, DASHES, MARKS):
        name = escape.plotly(plain)
        band = band if isinstance(band, Band) else Band(band)
        if band.low is not None and band.high is not None:
            figure.add_trace(ribbon(x, band.low, band.high, color, name=name))
        figure.add_trace(
            go.Scatter(
                x=list(x),
                y=list(band.y),
                name=name,
                mode="lines+markers" if len(x) <= 40 else "lines",
                line={"color": color, "dash": dash, "width": 2},
                marker={"symbol": mark, "size": 7},
                hovertemplate=f"{name}: %{{y:.4g}}<extra></extra>",
            )
        )
        known = [value for value in band.y if value is not None]  # None leaves a gap
        if known:
            ends.append(f"{plain} from {known[0]:.3g} to {known[-1]:.3g}")
    if x:
        add_lines(figure, lines, (min(x), max(x)))
    if mark_x is not None:
        dotted_line(figure, x=mark_x)
    return Picture(figure, f"{what or y_title} against {x_title}: " + "; ".join(ends) + ".")


def short(value: float) -> str:
    """A number as people write it, three digits that count: 0.15, 2,083, 1.34e+09.

    >>> short(0.1497), short(2083.3), short(12)
    ('0.15', '2,083', '12')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"


def columns(
    names: Sequence[str],
    groups: Mapping[str, Sequence[float]],
    *,
    y_title: str,
    form: str | None = None,
    height: int = 280,
    log_y: bool = False,
    revision: str = "columns",
) -> Picture:
    """Upright bars side by side, one group a color and a hatching."""
    top = max((value for values in groups.values() for value in values), default=1.0)
    figure = empty_figure(
        x="",
        y=y_title,
        height=height,
        revision=revision,
        x_axis={"type": "category"},
        y_axis={"type": "log"} if log_y else {"range": [0, 1.18 * top or 1]},
        barmode="group",
        hovermode="closest",
        showlegend=len(groups) > 1,
    )
    hatchings = ("", "/", "x", ".")
    for (plain, values), color, hatching in zip(groups.items(), COLORS, hatchings):
        name = escape.plotly(plain)
        figure.add_trace(
            go.Bar(
                x=[escape.plotly(one) for one in names],
                y=list(values),
                name=name,
                text=[_number(value, form) for value in values],
                textposition="outside",
                cliponaxis=False,
                marker={"color": color, "pattern": {"shape": hatching, "solidity": 0.25}},
                hovertemplate=f"{name}, %{{x}}: %{{y:.4g}}<extra></extra>",
            )
        )
    described = "; ".join(
        f"{name}: " + ", ".join(f"{label} {_number(value, form)}" for label, value in zip(names, values))
        for name, values in groups.items()
    )
    return Picture(figure, f"{y_title}. {described}.")


def signed(
    names: Sequence[str],
    values: Sequence[float],
    *,
    y_title: str,
    alt: str,
    most: int = 48,
    height: int = 320,
) -> Picture:
    """Upright bars above and below zero, in their order; beyond `most` the largest stay and the rest is one bar."""
    kept = sorted(sorted(range(len(values)), key=lambda i: -abs(values[i]))[:most])
    shown = [(names[i], values[i]) for i in kept]
    if len(kept) < len(values):
        shown.append((f"{len(values) - len(kept)} others", sum(values) - sum(value for _, value in shown)))
    figure = empty_figure(
        x="",
        y=y_title,
        height=height,
        revision="signed",
        x_axis={"type": "category", "tickangle": -60},
        hovermode="closest",
        showlegend=False,
    )
    figure.add_trace(
        go.Bar(
            x=[escape.plotly(name) for name, _ in shown],
            y=[value for _, value in shown],
            marker={
                "color": [BLUE if value >= 0 else VERMILION for _, value in shown],
                "pattern": {"shape": ["" if value >= 0 else "/" for _, value in shown], "solidity": 0.25},
            },
            hovertemplate="%{x}: %{y:+.3f}<extra></extra>",
        )
    )
    return Picture(figure, alt)


def _number(value: float, form: str | None) -> str:
    return short(value) if form is None else format(value, form)


def treemap(
    parts: Mapping[str, float],
    *,
    whole: str,
    unit: str,
    letters: Mapping[str, str] | None = None,
    height: int = 360,
    revision: str = "treemap",
) -> Picture:
    """Areas in proportion: the parts of a whole, colored by the dimension that `letters` gives them."""
    total = sum(parts.values()) or 1
    figure = go.Figure(
        go.Treemap(
            labels=[whole, *parts],
            parents=["", *[whole] * len(parts)],
            values=[total, *parts.values()],
            branchvalues="total",
            text=["", *[f"{_whole(value)}<br>{value / total:.1%}" for value in parts.values()]],
            hovertemplate="%{label}: %{value:,} " + unit + "<extra></extra>",
            marker={
                "colors": [
                    "rgba(128,128,128,0.1)",
                    *[dim_colors.color((letters or {}).get(name, "V")) for name in parts],
                ],
                "line": {"width": 1},
            },
            textfont={"color": dim_colors.INK},
        ),
        layout={
            "height": height,
            "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
            "paper_bgcolor": CLEAR,
            "uirevision": revision,
        },
    )
    listed = ", ".join(f"{name} {value / total:.1%}" for name, value in parts.items())
    return Picture(figure, f"{whole}, {total:,} {unit}: {listed}.")


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def rotation_dials(
    angles: Sequence[float],
    names: Sequence[str],
    *,
    other: Sequence[float] | None = None,
    labels: tuple[str, str] = ("query", "key"),
    revision: str = "clocks",
) -> Picture:
    """Clock dials, one a pair of dimensions: the hand at `angles` radians, a second hand at `other`."""
    per_row = min(8, max(1, len(angles)))
    n_rows = math.ceil(len(angles) / per_row) if angles else 1
    middles = [(number % per_row * 2.6, -(number // per_row) * 3.1) for number in range(len(angles))]
    figure = go.Figure(
        layout={
            "shapes": [
                {
                    "type": "circle",
                    "x0": x - 1,
                    "y0": y - 1,
                    "x1": x + 1,
                    "y1": y + 1,
                    "line": {"color": GREY},
                }
                for x, y in middles
            ],
            "annotations": [
                {"x": x, "y": y - 1.35, "text": name, "showarrow": False, "font": {"size": 11}}
                for (x, y), name in zip(middles, names)
            ],
            "height": 60 + 120 * n_rows,
            "margin": {"l": 0, "r": 0, "t": 30, "b": 0},
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "uirevision": revision,
            "showlegend": other is not None,
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "xaxis": {"visible": False},
            "yaxis": {"visible": False, "scaleanchor": "x"},
        }
    )
    for hands, color, dash, name in ((angles, BLUE, "solid", labels[0]), (other, ORANGE, "dot", labels[1])):
        if hands is None:
            continue
        xs, ys = [], []
        for (x, y), angle in zip(middles, hands):
            xs += [x, x + 0.85 * math.sin(angle), None]
            ys += [y, y + 0.85 * math.cos(angle), None]
        line = {"color": color, "width": 3, "dash": dash}
        figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", name=name, hoverinfo="skip", line=line))
    shown = ", ".join(f"{name} at {math.degrees(a) % 360:.0f}°" for name, a in zip(names, angles))
    return Picture(figure, f"Rotation dials: {shown}.")


def scatter(
    groups: Mapping[str, Sequence[tuple[float, float, str]]],
    *,
    x_title: str,
    y_title: str,
    height: int = 420,
    named: bool = True,
    revision: str = "scatter",
) -> Picture:
    """Points on a map, (x, y, name) each, one group a color and a form.

    Where points lie close together one name is written and the others wait to be pointed at.
    """
    figure = empty_figure(x=x_title, y=y_title, height=height, revision=revision, hovermode="closest")
    written = _with_room([point for points in groups.values() for point in points]) if named else set()
    for (name, points), color, mark in zip(groups.items(), COLORS, MARKS):
        figure.add_trace(
            go.Scatter(
                x=[point[0] for point in points],
                y=[point[1] for point in points],
                text=[escape.plotly(point[2]) if point in written else "" for point in points],
                hovertext=[escape.plotly(point[2]) for point in points],
                name=escape.plotly(name),
                mode="markers+text" if named else "markers",
                textposition="top center",
                marker={"color": color, "symbol": mark, "size": 8},
                hovertemplate="%{hovertext} (%{x:.3g}, %{y:.3g})<extra></extra>",
            )
        )
    described = "; ".join(f"{name}, {len(points)} points" for name, points in groups.items())
    return Picture(figure, f"A map of {described}; {x_title} to the right, {y_title} upwards.")


def _with_room(points: Sequence[tuple[float, float, str]]) -> set[tuple[float, float, str]]:
    """The points whose names can be written without one lying upon another, the first ones first."""
    if not points:
        return set()
    width, height = (max(p[axis] for p in points) - min(p[axis] for p in points) or 1.0 for axis in (0, 1))
    chosen: list[tuple[float, float, str]] = []
    for x, y, name in points:
        if all(abs(x - a) > 0.08 * width or abs(y - b) > 0.045 * height for a, b, _ in chosen):
            chosen.append((x, y, name))
    return set(chosen)
