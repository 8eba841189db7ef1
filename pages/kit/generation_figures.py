"""The figures of generation: what might come next, and how long each token took."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from pages.kit import escape
from pages.kit.chips import visible
from pages.kit.figures import BLUE, GREY, ORANGE, VERMILION, Picture, empty_figure

LANE_COLORS = {"cache off": VERMILION, "cache on": BLUE}  # on every figure of the chapter on inference


def probability_bars(
    tokens: Sequence[str],
    probabilities: Sequence[float],
    *,
    after: Sequence[float] | None = None,
    chosen: int | None = None,
    height: int | None = None,
    revision: str = "bars",
) -> Picture:
    """The most probable next tokens as bars, the most probable on top.

    `after` are the probabilities that a sampling filter leaves: they follow an arrow, and tokens that it removes are
    gray and hatched. Bars show the probabilities before it, so that they never add up to more than 1. `chosen` is the
    position of the token that was drawn, framed in orange.
    """
    passes = [True] * len(tokens) if after is None else [p > 0 for p in after]
    places = list(range(len(tokens)))
    top = max(probabilities, default=0.0)
    room = 1.22 if after is None else 1.45  # for what stands behind the longest bar
    figure = empty_figure(
        x="probability",
        y="",
        height=height or 60 + 26 * len(tokens),
        revision=revision,
        x_axis={"range": [0, min(1.03 * room, room * top or 1)], "tickformat": ".0%", "nticks": 5},
        y_axis=_token_axis(tokens),
        hovermode="closest",
        bargap=0.25,
        showlegend=False,
    )
    figure.add_trace(
        go.Bar(
            x=list(probabilities),
            y=places,
            orientation="h",
            text=_told(probabilities, after),
            textposition="outside",
            cliponaxis=False,
            customdata=[
                [escape.plotly(visible(token)), "kept" if keep else "filtered out"]
                for token, keep in zip(tokens, passes)
            ],
            hovertemplate="%{customdata[0]}: %{x:.2%}, %{customdata[1]}<extra></extra>",
            marker={
                "color": [BLUE if keep else GREY for keep in passes],
                "pattern": {"shape": ["" if keep else "/" for keep in passes], "solidity": 0.3},
                "line": {
                    "color": ORANGE,
                    "width": [3 if index == chosen else 0 for index in places],
                },
            },
        )
    )
    listed = ", ".join(f"{visible(t)} {p:.1%}" for t, p in list(zip(tokens, probabilities))[:5])
    cut = passes.count(False)
    return Picture(
        figure,
        f"Most likely next tokens: {listed}."
        + (f" {cut} of the tokens shown are filtered out." if cut else ""),
    )


def _token_axis(tokens: Sequence[str]) -> dict[str, object]:
    """An axis of tokens from top to bottom; two that print alike keep bars of their own."""
    return {
        "tickmode": "array",
        "tickvals": list(range(len(tokens))),
        "ticktext": [escape.plotly(visible(token)) for token in tokens],
        "autorange": "reversed",
        "showgrid": False,
    }


def _told(probabilities: Sequence[float], after: Sequence[float] | None) -> list[str]:
    """The text after each bar: its probability, and what a filter makes of it where that is another one."""
    labels = [f"{p:.1%}" for p in probabilities]
    left = (
        labels
        if after is None
        else [f"{p:.1%}" if p > 0 else old for old, p in zip(labels, after, strict=True)]
    )
    return [old if new == old else f"{old} → {new}" for old, new in zip(labels, left)]


def time_per_token(
    lanes: Mapping[str, Sequence[float]],
    first_position: int = 0,
    *,
    points: Mapping[str, Sequence[float]] | None = None,
) -> Picture:
    """Milliseconds each new token took against its position, one curve a lane. Values are seconds.

    `points` are what a curve was smoothed from, drawn faintly behind it; those far above it are cut off.
    """
    highest = max((1000 * value for values in lanes.values() for value in values), default=1.0)
    figure = empty_figure(
        x="token position",
        y="milliseconds per token",
        height=250,
        revision="time",
        y_axis={"range": [0, 1.25 * highest]},
    )
    dashes = ("solid", "dash", "dot")
    for name, seconds in (points or {}).items():
        figure.add_trace(
            go.Scatter(
                x=list(range(first_position, first_position + len(seconds))),
                y=[1000 * value for value in seconds],
                name=f"{name}, measured",
                mode="markers",
                marker={"color": LANE_COLORS[name], "size": 4, "opacity": 0.3},
                showlegend=False,
                hoverinfo="skip",
            )
        )
    for (name, seconds), dash in zip(lanes.items(), dashes):
        figure.add_trace(
            go.Scatter(
                x=list(range(first_position, first_position + len(seconds))),
                y=[1000 * value for value in seconds],
                name=name,
                mode="lines",
                line={"color": LANE_COLORS[name], "width": 2, "dash": dash},
                hovertemplate=f"{name} %{{y:.2f}} ms<extra></extra>",
            )
        )
    ends = [f"{name}: last token {1000 * values[-1]:.1f} ms" for name, values in lanes.items() if values]
    return Picture(figure, "Time per token against position. " + "; ".join(ends) + ".")
