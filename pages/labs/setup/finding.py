"""Chapter 1: the model of two weights, its worked example and its rate, and the diagram of learning."""

import math
from itertools import takewhile

import streamlit as st

from pages.kit import (
    controls,
    diagram,
    dim_colors,
    figures,
    lab,
    latex,
    plots,
    prompt,
    session,
    slopes,
    words,
)
from pages.kit.controls import Dial
from pages.kit.worked_example import Steps
from pages.labs.setup import cached

# Hours of rain and the water in the bucket, in centimetres; the last two are kept aside.
HOURS = (0.0, 1.0, 2.0, 3.0)
LEVELS = (1.1, 1.4, 2.1, 2.4)
KEPT_HOURS, KEPT_LEVELS = (0.5, 2.5), (1.2, 2.3)
NAMES = ("hours x", "level y")
CRAWLS, LANDS, FLIES = 0.01, 0.15, 0.26
RATE = LANDS
N_STEPS = 30
A = ((1.0, 2.0, 0.5), (0.0, -1.0, 3.0))
B = ((2.0, 1.0), (1.0, 0.0), (4.0, -2.0))
SHOWN = 5  # steps printed one by one
NEAR = 0.01  # of the way from the first loss to the least: nearer than this has landed


def walked(rate: float, n_steps: int, x=HOURS, y=LEVELS, *, w: float = 0.0, b: float = 0.0) -> list:
    """Where a line stands before each step and after the last, for as long as its numbers are numbers."""
    import torch

    from gptcore.lessons import line_fit

    states = line_fit.descend(torch.tensor(x), torch.tensor(y), rate, n_steps, w=w, b=b)
    return list(takewhile(lambda state: math.isfinite(state.loss), states))


def outcome(states: list, n_steps: int, least: float) -> str:
    """How a descent went: `flies` off, `lands`, or `crawls` and has not arrived."""
    first, last = states[0].loss, states[-1].loss
    if len(states) <= n_steps or last > max(first, least) * (1 + 1e-6):
        return "flies"
    return "lands" if last - least <= NEAR * (first - least) + 1e-9 else "crawls"


def finding() -> None:
    """Three rates, one model: it crawls, it lands, it flies off."""
    import torch

    from gptcore.lessons import line_fit

    text = words.load("01_setup")
    runs = {rate: walked(rate, N_STEPS) for rate in (CRAWLS, LANDS, FLIES)}
    text.show(
        "finding",
        first=runs[LANDS][0].loss,
        crawls=CRAWLS,
        slow=runs[CRAWLS][-1].loss,
        lands=LANDS,
        low=runs[LANDS][-1].loss,
        flies=FLIES,
        high=runs[FLIES][-1].loss,
        limit=line_fit.largest_rate(torch.tensor(HOURS)),
        n=N_STEPS,
    )
    picture = plots.curves(
        range(N_STEPS + 1),
        {f"rate {rate:g}": [state.loss for state in states] for rate, states in runs.items()},
        x_title="step",
        y_title="loss",
        log_y=True,
        height=260,
        revision="c1 finding",
    )
    st.plotly_chart(picture.figure, key="c1_finding", config=figures.CONFIG, alt=picture.alt)


@st.fragment
def worked_example() -> None:
    """Two weights learn from four points, every number printed; then a matrix product."""
    import torch

    from gptcore.lessons import line_fit

    text = words.load("01_setup")
    text.show("example")
    left, right = st.columns([3, 2], gap="large")
    with left:
        columns = [str(place) for place in range(1, len(HOURS) + 1)]
        points = prompt.matrix_input(
            "c1_points",
            (HOURS, LEVELS),
            rows=NAMES,
            columns=columns,
            label=text.read("example_points"),
        )
    with right:
        w = controls.decimal(text.read("example_w"), "c1_w", -2.0, 2.0, 0.0, 0.1, text.read("example_w_help"))
        b = controls.decimal(text.read("example_b"), "c1_b", -2.0, 4.0, 0.0, 0.1, text.read("example_b_help"))
        rate = controls.decimal(
            text.read("example_rate"), "c1_rate", 0.01, 0.3, RATE, 0.01, text.read("example_rate_help")
        )
    x, y = (torch.tensor(row) for row in points)
    print_steps(text, points, line_fit.by_hand(x, y, w, b), w, b, rate)


def print_steps(text: words.Words, points, found, w: float, b: float, rate: float) -> None:
    """The steps of the example with their numbers put in."""
    import torch

    from gptcore.lessons import line_fit

    xs, ys = points
    x, y = torch.tensor(xs), torch.tensor(ys)
    open_, n, num, sign = Steps(9), len(xs), latex.number, latex.signed
    if open_(text.read("example_guess_title")):
        text.show("example_guess")
        st.latex(
            r"\begin{aligned}"
            + r" \\ ".join(
                rf"{num(w)} \cdot {sign(one)} + {sign(b)} &= {num(guess)}"
                for one, guess in zip(xs, found.guesses.tolist())
            )
            + r"\end{aligned}"
        )
    if open_(text.read("example_loss_title")):
        text.show("example_loss")
        errors = found.errors.tolist()
        st.latex(
            r"\begin{aligned}"
            + r" \\ ".join(
                rf"{num(guess)} - {sign(true)} &= {num(error)} & ({num(error)})^2 &= {num(error**2)}"
                for guess, true, error in zip(found.guesses.tolist(), ys, errors)
            )
            + r"\end{aligned}"
        )
        terms = " + ".join(num(value) for value in found.squares.tolist())
        st.latex(rf"\text{{loss}} = \frac{{{terms}}}{{{n}}} = {num(found.loss)}")
    if open_(text.read("example_gradient_title")):
        text.show("example_gradient")
        for name, slopes, mean in (
            ("w", found.slopes_w, found.slope_w),
            ("b", found.slopes_b, found.slope_b),
        ):
            terms = " + ".join(sign(value) for value in slopes.tolist())
            st.latex(
                rf"\frac{{\partial\,\text{{loss}}}}{{\partial {name}}} = \frac{{{terms}}}{{{n}}} = {num(mean)}"
            )
    taken = walked(rate, N_STEPS, xs, ys, w=w, b=b)
    if open_(text.read("example_step_title")):
        text.show("example_step")
        for name, now, slope in (("w", w, found.slope_w), ("b", b, found.slope_b)):
            st.latex(
                rf"{name} \leftarrow {num(now)} - {num(rate)} \cdot {sign(slope)} = {num(now - rate * slope)}"
            )
        if len(taken) > 1:
            text.show("example_step_says", before=taken[0].loss, after=taken[1].loss)
    if open_(text.read("example_autograd_title")):
        text.show(
            "example_autograd",
            hand_w=found.slope_w,
            hand_b=found.slope_b,
            torch_w=taken[0].slope_w,
            torch_b=taken[0].slope_b,
        )
    if open_(text.read("example_again_title")):
        again(text, taken, line_fit.loss_at(x, y, *line_fit.best(x, y)), rate)
    if open_(text.read("example_validation_title")):
        kept = torch.tensor(KEPT_HOURS), torch.tensor(KEPT_LEVELS)
        text.show(
            "example_validation",
            x1=KEPT_HOURS[0], y1=KEPT_LEVELS[0], x2=KEPT_HOURS[1], y2=KEPT_LEVELS[1],
            before=line_fit.loss_at(*kept, w, b),
            after=line_fit.loss_at(*kept, taken[-1].w, taken[-1].b),
            training=taken[-1].loss,
        )  # fmt: skip
    products(text, open_)


def again(text: words.Words, taken: list, least: float, rate: float) -> None:
    """The first steps as a table, and how it ended."""
    text.show("example_again")
    rows = [f"| {one.step} | {one.w:.4f} | {one.b:.4f} | {one.loss:.4f} |" for one in taken[: SHOWN + 1]]
    st.markdown("| step | w | b | loss |\n|--:|--:|--:|--:|\n" + "\n".join(rows))
    ended = outcome(taken, N_STEPS, least)
    if ended == "flies":
        text.show("example_again_flies", rate=rate)
    elif ended == "lands":
        text.show("example_again_lands", rate=rate, n=N_STEPS, w=taken[-1].w, b=taken[-1].b, least=least)
    else:
        text.show("example_again_crawls", rate=rate, n=N_STEPS, loss=taken[-1].loss, least=least)


def products(text: words.Words, open_: Steps) -> None:
    """A matrix product as a table of dot products, and the layer made of it."""
    import torch

    from gptcore.lessons import shapes

    if open_(text.read("example_product_title")):
        text.show("example_product")
        left, right = st.columns(2, gap="large")
        with left:
            a = prompt.matrix_input(
                "c1_a", A, rows=("1", "2"), columns=("1", "2", "3"), label=text.read("example_product_a")
            )
        with right:
            b = prompt.matrix_input(
                "c1_b_matrix",
                B,
                rows=("1", "2", "3"),
                columns=("1", "2"),
                label=text.read("example_product_b"),
            )
        row, column = controls.matrix_cell(2, 2, "c1_cell", text.read("example_product_cell"))
        table = shapes.dot_products(torch.tensor(a), torch.tensor(b)).tolist()
        st.latex(rf"{latex.matrix(a)} {latex.matrix(b)} = {latex.matrix(table, marked={(row, column)})}")
        st.latex(latex.dot(a[row], [line[column] for line in b]))
    if open_(text.read("example_linear_title")):
        text.show("example_linear")


def machine() -> None:
    """What this machine has, as training sees it."""
    text = words.load("01_setup")
    here = cached.machine()
    unknown = text.read("example_machine_unknown")
    units = {True: text.read("example_machine_yes"), False: text.read("example_machine_no"), None: unknown}
    text.show(
        "example_machine",
        device=here.device,
        name=here.name,
        threads=here.threads,
        memory=f"{here.memory_bytes / 1e9:.1f} GB" if here.memory_bytes else unknown,
        precisions=", ".join(here.precisions),
        units=units[here.bf16_units],
        python=here.python,
        torch=here.torch,
    )


@st.fragment
def flow() -> None:
    """One step of training as a chart, with the shapes of the model in use."""
    from gptcore.account import n_parameters

    text = words.load("01_setup")
    config = session.model_in_use().model.config
    batch = controls.whole(
        text.read("diagram_batch"), "c1_flow_b", Dial("", 1, 64, 1, text.read("diagram_batch_help")), 8
    )
    text.show("diagram", n=n_parameters(config), numbers=batch * config.context_length * config.vocab_size)
    sizes = dim_colors.sizes_of(config)
    b, t, v = batch, config.context_length, sizes["V"]
    node, edge = diagram.Node, diagram.Edge
    nodes = [
        node("ids", "token ids", sizes={"B": b, "T": t}),
        node("weights", f"{n_parameters(config):,} weights", "weight"),
        node("forward", "forward: the model guesses", "step"),
        node("logits", "scores for what comes next", sizes={"B": b, "T": t, "V": v}),
        node("targets", "what came", sizes={"B": b, "T": t}),
        node("compare", "mean of −ln p", "step"),
        node("loss", "loss: one number"),
        node("backward", "backward: autograd", "step"),
        node("gradient", f"gradient: {n_parameters(config):,} slopes"),
        node("step", "step: weight − rate · slope", "step"),
    ]
    edges = [
        edge("ids", "forward"),
        edge("weights", "forward"),
        edge("forward", "logits"),
        edge("logits", "compare"),
        edge("targets", "compare"),
        edge("compare", "loss"),
        edge("loss", "backward"),
        edge("backward", "gradient"),
        edge("gradient", "step"),
        edge("step", "weights", "and again"),
    ]
    diagram.flowchart(nodes, edges, alt="One step of training: forward, loss, backward, step")


@st.fragment
def one_knob() -> None:
    """The rate on a slider: the way on the map of the loss, and the loss step by step."""
    import torch

    from gptcore.lessons import line_fit

    text = words.load("01_setup")
    x, y = torch.tensor(HOURS), torch.tensor(LEVELS)
    with lab.frame("c1_knob", text.read("lab_knob_title")):
        text.show("lab_knob")
        left, right = st.columns(2, gap="large")
        with left:
            rate = controls.decimal(
                text.read("lab_knob_rate"),
                "c1_knob_rate",
                0.005,
                0.3,
                0.1,
                0.005,
                text.read("example_rate_help"),
            )
        with right:
            n_steps = controls.whole(
                text.read("lab_knob_steps"),
                "c1_knob_steps",
                Dial("", 1, 100, 1, text.read("lab_knob_help")),
                20,
            )
        states, lowest = walked(rate, n_steps), line_fit.best(x, y)
        least, limit = line_fit.loss_at(x, y, *lowest), line_fit.largest_rate(x)
        ws, bs = (
            [low + (high - low) * i / 40 for i in range(41)] for low, high in ((-0.8, 1.6), (-0.8, 2.2))
        )
        with left:
            way = [(state.w, state.b) for state in states]
            picture = slopes.descent(
                ws, bs, line_fit.loss_map(x, y, ws, bs), way, lowest, revision="knob map"
            )
            st.plotly_chart(picture.figure, key="c1_knob_map", config=figures.CONFIG, alt=picture.alt)
        with right:
            picture = plots.curves(
                [state.step for state in states],
                {
                    "loss": [max(state.loss, 1e-9) for state in states],
                    "least there can be": [least] * len(states),
                },
                x_title="step",
                y_title="loss",
                log_y=True,
                height=340,
                revision="knob loss",
            )
            picture.figure.update_yaxes(dtick=1)  # powers of ten
            st.plotly_chart(picture.figure, key="c1_knob_loss", config=figures.CONFIG, alt=picture.alt)
        ended = outcome(states, n_steps, least)
        last = states[-1]
        if ended == "flies":
            text.show("lab_knob_flies", rate=rate, limit=limit, loss=last.loss, step=last.step)
        elif ended == "lands":
            text.show("lab_knob_lands", rate=rate, loss=last.loss, least=least, n=n_steps, limit=limit)
        else:
            text.show("lab_knob_crawls", rate=rate, loss=last.loss, least=least, n=n_steps, limit=limit)
        following = FLIES if rate < limit else LANDS
        then = outcome(walked(following, n_steps), n_steps, least)
        kinds = ("crawls", "lands", "flies")
        lab.predict(
            "c1_knob",
            text.read("lab_knob_predict", next=following),
            (
                text.read("lab_knob_predict_crawls"),
                text.read("lab_knob_predict_lands"),
                text.read("lab_knob_predict_flies"),
            ),
            right=kinds.index(then),
            because=text.read("lab_knob_because", next=following, limit=limit),
            then={"c1_knob_rate": following},
        )


@st.fragment
def too_few_points() -> None:
    """A line that learns from fewer points: its own loss falls, the loss on points kept aside does not."""
    import torch

    from gptcore.lessons import line_fit

    text = words.load("01_setup")
    text.show("lab_few")
    n = controls.whole(
        text.read("lab_few_n"), "c1_few_n", Dial("", 1, len(HOURS), 1, text.read("lab_few_help")), 2
    )
    kept = torch.tensor(KEPT_HOURS), torch.tensor(KEPT_LEVELS)
    counts = list(range(1, len(HOURS) + 1))
    lines = [line_fit.best(torch.tensor(HOURS[:k]), torch.tensor(LEVELS[:k])) for k in counts]
    training = [
        line_fit.loss_at(torch.tensor(HOURS[:k]), torch.tensor(LEVELS[:k]), *found)
        for k, found in zip(counts, lines)
    ]
    held_out = [line_fit.loss_at(*kept, *found) for found in lines]
    picture = plots.curves(
        counts,
        {"on the points it learned from": training, "on the two kept aside": held_out},
        x_title="points it learned from",
        y_title="loss",
        mark_x=n,
        height=280,
        revision="few",
    )
    picture.figure.update_xaxes(dtick=1)
    st.plotly_chart(picture.figure, key="c1_few_curves", config=figures.CONFIG, alt=picture.alt)
    text.show(
        "lab_few_says",
        n=n,
        training=training[n - 1],
        held_out=held_out[n - 1],
        w=lines[n - 1][0],
        b=lines[n - 1][1],
    )
