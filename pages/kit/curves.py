"""The figures of a training run, drawn from its events."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pages.kit import escape
from pages.kit.figures import (
    BLUE,
    CLEAR,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Line,
    Picture,
    add_lines,
    empty_figure,
    ribbon,
    thin,
)
from pages.kit.history import History

LONG_RUN, MIN_STEPS = 2_000, 45  # steps: from where on an axis grows with its run, and from what length
# The story scores in the order in which a model learns them: their names and colors.
SCORES = {
    "rate": ("grammar", BLUE),
    "new": ("grammatical and new", GREEN),
    "pronouns": ("pronouns", ORANGE),
    "names": ("names", PURPLE),
}


def story_score_finding(history: History) -> Picture:
    """Validation loss above, what the texts were worth below, against the same steps."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.42, 0.58])
    points = [(step, value) for step, value in zip(history.eval_steps, history.val_loss) if step > 0]
    figure.add_trace(
        go.Scatter(
            x=[step for step, _ in points],
            y=[value for _, value in points],
            name="validation loss",
            mode="lines+markers",
            line={"color": VERMILION, "width": 2.4},
            hovertemplate="loss %{y:.2f} nats<extra></extra>",
        ),
        row=1,
        col=1,
    )
    scored = [sample for sample in history.samples if sample.get("ladder") and sample["step"] > 0]
    for rung in ("rate", "pronouns", "names"):
        name, color = SCORES[rung]
        shares = [(s["step"], s["ladder"][rung]) for s in scored if s["ladder"].get(rung) is not None]
        figure.add_trace(
            go.Scatter(
                x=[step for step, _ in shares],
                y=[share for _, share in shares],
                name=name,
                mode="lines+markers",
                line={"color": color, "width": 2.4},
                hovertemplate=f"{name} %{{y:.0%}}<extra></extra>",
            ),
            row=2,
            col=1,
        )
    figure.update_xaxes(type="log", dtick=1)
    figure.update_xaxes(title={"text": "step", "standoff": 4}, row=2)
    figure.update_yaxes(title={"text": "nats per token"}, nticks=4, row=1)
    figure.update_yaxes(
        title={"text": "fraction correct"}, range=[0, 1.05], tickformat=".0%", nticks=5, row=2
    )
    figure.update_layout(
        height=400,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        uirevision=f"{history.name}-finding",
        hovermode="x unified",
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
    )
    return Picture(figure, f"{_loss_alt(history)} {_scores_alt(scored)}")


def _levels(history: History) -> list[Line]:
    """The levels a loss is compared with, where the run knows them."""
    return [
        Line("uniform", history.start.get("uniform")),
        Line("unigram", history.start.get("unigram")),
        Line("bigram", history.start.get("bigram")),
        Line("floor", history.start.get("floor")),
    ]


def _ends(history: History, log_x: bool) -> list[float]:
    """The first and last step of the axis; while a long run is young not all of it, or its curve could not be seen."""
    last = max(2, history.total_steps)
    if last > LONG_RUN and history.last_step < last / 4 and not history.end:
        last = 2 ** math.ceil(math.log2(1.4 * max(MIN_STEPS, history.last_step)))
    return [1 if log_x else 0, last]


def _x_axis(figure: go.Figure, history: History, log_x: bool) -> None:
    ends = _ends(history, log_x)
    if log_x:
        figure.update_xaxes(type="log", range=[math.log10(end) for end in ends], dtick=1)
    else:
        figure.update_xaxes(range=ends)


def loss(history: History, *, log_x: bool = False, height: int = 380) -> Picture:
    """Training and validation loss against the step, in nats per token, with the levels to compare with."""
    figure = empty_figure(
        x="step", y="loss (nats per token)", height=height, revision=f"{history.name}-{log_x}"
    )
    x, y = thin(history.steps, history.loss)
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            name="training",
            mode="lines",
            line={"color": BLUE, "width": 1.4},
            opacity=0.7,
            hovertemplate="training %{y:.3f} nats<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=history.eval_steps,
            y=history.val_loss,
            name="validation",
            mode="lines+markers",
            line={"color": VERMILION, "width": 2.4},
            marker={"size": 6},
            hovertemplate="validation %{y:.3f} nats<extra></extra>",
        )
    )
    add_lines(figure, _levels(history), _ends(history, log_x))
    _x_axis(figure, history, log_x)
    figure.update_yaxes(rangemode="tozero")
    return Picture(figure, _loss_alt(history))


AGAINST = {"steps": "step", "tokens": "training tokens", "seconds": "training time in seconds"}
RUN_COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)


def comparison(histories: Mapping[str, History], *, against: str = "steps", height: int = 420) -> Picture:
    """The losses of several runs, each under its label, against steps, tokens or seconds of training."""
    revision = f"{','.join(history.name for history in histories.values())}-{against}"
    figure = empty_figure(x=AGAINST[against], y="loss (nats per token)", height=height, revision=revision)
    for index, (plain, history) in enumerate(histories.items()):
        label = escape.plotly(plain)
        color = RUN_COLORS[index % len(RUN_COLORS)]
        where = {"steps": history.steps, "tokens": history.tokens_seen, "seconds": history.seconds}[against]
        x, y = thin(where, history.loss)
        figure.add_trace(
            go.Scatter(
                x=x,
                y=y,
                mode="lines",
                line={"color": color, "width": 1},
                opacity=0.4,
                showlegend=False,
                hoverinfo="skip",
            )
        )
        at = dict(zip(history.steps, where))
        points = [
            (at.get(step, 0), value)
            for step, value in zip(history.eval_steps, history.val_loss)
            if step in at or step == 0
        ]
        figure.add_trace(
            go.Scatter(
                x=[one for one, _ in points],
                y=[value for _, value in points],
                name=label,
                mode="lines+markers",
                line={"color": color, "width": 2.4},
                marker={"size": 6},
                hovertemplate=f"{label}: %{{y:.3f}} nats<extra></extra>",
            )
        )
    figure.update_yaxes(rangemode="tozero")
    last = [f"{label} {one.val_loss[-1]:.2f}" for label, one in histories.items() if one.val_loss]
    return Picture(
        figure, f"Validation losses against {AGAINST[against]}. At the end: {', '.join(last)} nats."
    )


def confidence_bands(
    arms: Mapping[str, Sequence[History]], *, against: str = "steps", height: int = 380
) -> Picture:
    """Validation losses of several runs an arm: the mean of an arm's runs and the range they fill.

    The first looks are left out: a loss that still falls by nats hides differences of hundredths.
    """
    revision = f"{','.join(one.name for arm in arms.values() for one in arm)}-{against}"
    figure = empty_figure(
        x=AGAINST[against], y="validation loss (nats per token)", height=height, revision=revision
    )
    last = []
    for (plain, histories), color, dash in zip(arms.items(), (BLUE, ORANGE), ("solid", "dash")):
        label = escape.plotly(plain)
        looks = list(zip(*(_looks(one, against) for one in histories)))  # one look of every run
        x = [sum(where for where, _ in look) / len(look) for look in looks]
        y = [[loss for _, loss in look] for look in looks]
        figure.add_trace(ribbon(x, [*map(min, y)], [*map(max, y)], color, name=label))
        figure.add_trace(
            go.Scatter(
                x=x,
                y=[sum(losses) / len(losses) for losses in y],
                name=label,
                mode="lines+markers",
                line={"color": color, "width": 2.4, "dash": dash},
                hovertemplate=f"{label}: %{{y:.3f}} nats<extra></extra>",
            )
        )
        if y:
            last.append(f"{plain} from {min(y[-1]):.3f} to {max(y[-1]):.3f}")
    return Picture(
        figure,
        f"Validation losses against {AGAINST[against]}. At the last evaluation: {'; '.join(last)} nats.",
    )


def _looks(history: History, against: str) -> list[tuple[float, float]]:
    """Where a run was looked at, in steps, tokens or seconds, and its validation loss, the first eighth left out."""
    where = {"steps": history.steps, "tokens": history.tokens_seen, "seconds": history.seconds}[against]
    at = dict(zip(history.steps, where))
    return [
        (at[step], value)
        for step, value in zip(history.eval_steps, history.val_loss)
        if step in at and step >= history.total_steps / 8
    ]


def _loss_alt(history: History) -> str:
    if not history.loss:
        return "Loss curves, empty until the first step."
    text = f"Training loss from {history.loss[0]:.2f} to {history.loss[-1]:.2f} nats per token"
    if history.val_loss:
        text += f", validation loss now {history.val_loss[-1]:.2f}"
    if history.start.get("floor"):
        text += f", floor {history.start['floor']:.2f}"
    return text + f", after {history.last_step} steps."


def _single(
    history: History, values: Sequence[float], *, y: str, color: str, unit: str, form: str, name: str
) -> Picture:
    figure = empty_figure(x="step", y=y, height=220, revision=history.name)
    x, thinned = thin(history.steps, values)
    figure.add_trace(
        go.Scatter(
            x=x,
            y=thinned,
            mode="lines",
            showlegend=False,
            line={"color": color, "width": 1.8},
            hovertemplate=f"%{{y:{form}}} {unit}<extra></extra>",
        )
    )
    _x_axis(figure, history, False)
    figure.update_yaxes(rangemode="tozero", nticks=5)
    now = f"now {values[-1]:.3g} {unit}" if values else "no step yet"
    return Picture(figure, f"{name} against the step, {now}.")


def learning_rate(history: History) -> Picture:
    """The rate the optimizer used at each step."""
    return _single(
        history,
        history.lr,
        y="learning rate",
        color=GREEN,
        unit="per step",
        form=".2e",
        name="Learning rate",
    )


def gradient_norm(history: History) -> Picture:
    """The length of the gradient before it was clipped."""
    return _single(
        history,
        history.grad_norm,
        y="gradient norm",
        color=PURPLE,
        unit="before clipping",
        form=".2f",
        name="Gradient norm",
    )


def speed(history: History) -> Picture:
    """Tokens the run read per second."""
    return _single(
        history,
        history.tokens_per_second,
        y="tokens per second",
        color=ORANGE,
        unit="tokens per second",
        form=",.0f",
        name="Tokens per second",
    )


def story_scores(
    history: History,
    tables: Mapping[int, Mapping[str, float | None]] | None = None,
    *,
    log_x: bool = False,
) -> Picture:
    """Four story scores against the step, each with the scores of 3-, 5- and 7-gram tables.

    `tables` gives, for each order, the same four scores, measured on text sampled from that table.
    """
    figure = make_subplots(
        rows=2,
        cols=2,
        subplot_titles=[name for name, _ in SCORES.values()],
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.06,
        vertical_spacing=0.14,
    )
    scored = [sample for sample in history.samples if sample.get("ladder")]
    for index, (rung, (name, color)) in enumerate(SCORES.items()):
        where = {"row": index // 2 + 1, "col": index % 2 + 1}
        points = [(s["step"], s["ladder"][rung]) for s in scored if s["ladder"].get(rung) is not None]
        figure.add_trace(
            go.Scatter(
                x=[max(1, step) if log_x else step for step, _ in points],
                y=[share for _, share in points],
                mode="lines+markers",
                showlegend=False,
                line={"color": color, "width": 2.4},
                marker={"size": 6},
                hovertemplate=f"{name} %{{y:.0%}}<extra></extra>",
            ),
            **where,
        )
        levels = [(order, shares.get(rung)) for order, shares in (tables or {}).items()]
        for number, (order, share) in enumerate(levels):
            if share is not None:
                figure.add_trace(_table_level(order, share, number, _ends(history, log_x), log_x), **where)
    _x_axis(figure, history, log_x)
    figure.update_xaxes(nticks=4, tickangle=0)
    figure.update_xaxes(title={"text": "step", "standoff": 4}, row=2)
    figure.update_yaxes(range=[0, 1.08], tickformat=".0%", nticks=5)
    figure.update_annotations(font={"size": 13})
    figure.update_layout(
        height=440,
        margin={"l": 8, "r": 8, "t": 28, "b": 8},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        uirevision=f"{history.name}-{log_x}",
        hovermode="x unified",
    )
    return Picture(figure, _scores_alt(scored))


def _table_level(order: int, share: float, number: int, ends: Sequence[float], log_x: bool) -> go.Scatter:
    """What an n-gram table reaches, as a named line; names stand apart, since levels are often close."""
    low, high = ends
    part = 0.52 + 0.2 * number
    at = high**part if log_x else low + part * (high - low)
    return go.Scatter(
        x=[low, at, high],
        y=[share] * 3,
        mode="lines+text",
        text=["", f"{order}-gram", ""],
        textposition="top center",
        textfont={"size": 10},
        showlegend=False,
        line={"color": GREY, "width": 1.2, "dash": "dot"},
        hovertemplate=f"{order}-gram table %{{y:.0%}}<extra></extra>",
    )


def _scores_alt(scored: Sequence[Mapping[str, Any]]) -> str:
    if not scored:
        return "Story scores, empty until the first sample."
    last = scored[-1]["ladder"]
    parts = [f"{name} {last[rung]:.0%}" for rung, (name, _) in SCORES.items() if last.get(rung) is not None]
    return f"Story scores at step {scored[-1]['step']}: {', '.join(parts)}."
