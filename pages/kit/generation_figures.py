"""The figures of generation: what might come next, and how long each token took."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from pages.kit import escape
from pages.kit.chips import visible
from pages.kit.figures import BLUE, GREY, ORANGE, VERMILION, Picture, empty_figure


def probability_bars(
    tokens: Sequence[str],
    probabilities: Sequence[float],
    *,
    kept: Sequence[bool] | None = None,
    chosen: int | None = None,
    height: int | None = None,
    revision: str = "bars",
) -> Picture:
    """The likeliest next tokens as bars, the likeliest on top.

    `kept` tells which tokens a sampling filter lets through: the rest is grey and hatched. `chosen` is the
    place of the token that was drawn, framed in orange.
    """
    passes = list(kept) if kept is not None else [True] * len(tokens)
    figure = empty_figure(x="probability", y="", height=height or 60 + 26 * len(tokens), revision=revision)
    # Equal texts (two tokens that print alike) would fall on one bar; the places keep them apart.
    places = list(range(len(tokens)))
    figure.add_trace(
        go.Bar(
            x=list(probabilities),
            y=places,
            orientation="h",
            text=[f"{p:.1%}" for p in probabilities],
            textposition="outside",
            cliponaxis=False,
            customdata=[
                [escape.plotly(visible(token)), "kept" if keep else "cut off"]
                for token, keep in zip(tokens, passes)
            ],
            hovertemplate="%{customdata[0]}: %{x:.2%}, %{customdata[1]}<extra></extra>",
            marker={
                "color": [BLUE if keep else GREY for keep in passes],
                "pattern": {"shape": ["" if keep else "/" for keep in passes], "solidity": 0.3},
                "line": {
                    "color": ORANGE,
                    "width": [3 if place == chosen else 0 for place in places],
                },
            },
        )
    )
    top = max(probabilities, default=0.0)
    figure.update_xaxes(range=[0, min(1.25, 1.22 * top or 1)], tickformat=".0%", nticks=5)
    figure.update_yaxes(
        tickmode="array",
        tickvals=places,
        ticktext=[escape.plotly(visible(token)) for token in tokens],
        autorange="reversed",
        showgrid=False,
    )
    figure.update_layout(hovermode="closest", bargap=0.25, showlegend=False)
    listed = ", ".join(f"{visible(t)} {p:.1%}" for t, p in list(zip(tokens, probabilities))[:5])
    cut = passes.count(False)
    return Picture(
        figure, f"Likeliest next tokens: {listed}." + (f" {cut} of those shown are cut off." if cut else "")
    )


def time_per_token(
    lanes: Mapping[str, Sequence[float]],
    first_position: int = 0,
    *,
    points: Mapping[str, Sequence[float]] | None = None,
) -> Picture:
    """Milliseconds each new token took against its position, one curve a lane. Values are seconds.

    `points` are what a curve was smoothed from, drawn faintly behind it; those far above it are cut off.
    """
    figure = empty_figure(x="position of the token", y="milliseconds a token", height=320, revision="time")
    colors = (VERMILION, BLUE, GREY)
    dashes = ("solid", "dash", "dot")
    for (name, seconds), color in zip((points or {}).items(), colors):
        figure.add_trace(
            go.Scatter(
                x=list(range(first_position, first_position + len(seconds))),
                y=[1000 * value for value in seconds],
                name=f"{name}, measured",
                mode="markers",
                marker={"color": color, "size": 4, "opacity": 0.3},
                showlegend=False,
                hoverinfo="skip",
            )
        )
    for (name, seconds), color, dash in zip(lanes.items(), colors, dashes):
        figure.add_trace(
            go.Scatter(
                x=list(range(first_position, first_position + len(seconds))),
                y=[1000 * value for value in seconds],
                name=name,
                mode="lines",
                line={"color": color, "width": 2, "dash": dash},
                hovertemplate=f"{name} %{{y:.2f}} ms<extra></extra>",
            )
        )
    highest = max((1000 * value for values in lanes.values() for value in values), default=1.0)
    figure.update_yaxes(range=[0, 1.25 * highest])
    ends = [f"{name}: last token {1000 * values[-1]:.1f} ms" for name, values in lanes.items() if values]
    return Picture(figure, "Time per token against position. " + "; ".join(ends) + ".")
