"""Chapter 1: two parameters fitted to four points, with every number printed; then a matrix product."""

import streamlit as st
import torch

from gptcore.lessons import line_fit, shapes
from pages.kit import controls, latex, prompt, words
from pages.kit.worked_example import Steps
from pages.labs.setup.descent import (
    GOOD_RATE,
    HELD_OUT_HOURS,
    HELD_OUT_LEVELS,
    HOURS,
    LEVELS,
    N_STEPS,
    descent_steps,
    outcome,
)

NAMES = ("hours x", "level y")
RATE = GOOD_RATE
A = ((1.0, 2.0, 0.5), (0.0, -1.0, 3.0))
B = ((2.0, 1.0), (1.0, 0.0), (4.0, -2.0))
SHOWN = 5  # steps printed one by one


@st.fragment
def worked_example() -> None:
    """Two parameters fitted to four points, with every number printed; then a matrix product."""
    text = words.load("01_setup")
    text.show("example")
    left, right = st.columns([3, 2], gap="large")
    with left:
        columns = [str(number) for number in range(1, len(HOURS) + 1)]
        points = prompt.matrix_input(
            "c1_points",
            (HOURS, LEVELS),
            rows=NAMES,
            columns=columns,
            label=text.read("example_points"),
        )
    with right:
        w = controls.number(text.read("example_w"), "c1_w", -2.0, 2.0, 0.0, 0.1, text.read("example_w_help"))
        b = controls.number(text.read("example_b"), "c1_b", -2.0, 4.0, 0.0, 0.1, text.read("example_b_help"))
        rate = controls.number(
            text.read("example_rate"), "c1_rate", 0.01, 0.3, RATE, 0.01, text.read("example_rate_help")
        )
    x, y = (torch.tensor(row) for row in points)
    print_steps(text, points, line_fit.by_hand(x, y, w, b), w, b, rate)


def print_steps(text: words.Words, points, by_hand, w: float, b: float, rate: float) -> None:
    """The steps of the example with their numbers filled in."""
    xs, ys = points
    x, y = torch.tensor(xs), torch.tensor(ys)
    num, sign = latex.number, latex.signed
    with Steps(9, key="c1_steps") as steps:
        print_loss_and_gradient(text, steps, points, by_hand, w, b)
        states = descent_steps(rate, N_STEPS, xs, ys, w=w, b=b)
        if steps(text.read("example_step_title")):
            text.show("example_step")
            for name, old, slope in (("w", w, by_hand.slope_w), ("b", b, by_hand.slope_b)):
                st.latex(
                    rf"{name} \leftarrow {num(old)} - {num(rate)} \cdot {sign(slope)} = {num(old - rate * slope)}"
                )
            if len(states) > 1:
                text.show("example_step_says", before=states[0].loss, after=states[1].loss)
        if steps(text.read("example_autograd_title")):
            text.show(
                "example_autograd",
                hand_w=by_hand.slope_w,
                hand_b=by_hand.slope_b,
                torch_w=states[0].slope_w,
                torch_b=states[0].slope_b,
            )
        if steps(text.read("example_again_title")):
            print_later_steps(text, states, line_fit.loss_at(x, y, *line_fit.best(x, y)), rate)
        if steps(text.read("example_validation_title")):
            held_out = torch.tensor(HELD_OUT_HOURS), torch.tensor(HELD_OUT_LEVELS)
            text.show(
                "example_validation",
                x1=HELD_OUT_HOURS[0], y1=HELD_OUT_LEVELS[0], x2=HELD_OUT_HOURS[1], y2=HELD_OUT_LEVELS[1],
                before=line_fit.loss_at(*held_out, w, b),
                after=line_fit.loss_at(*held_out, states[-1].w, states[-1].b),
                training=states[-1].loss,
            )  # fmt: skip
        products(text, steps)


def print_loss_and_gradient(text: words.Words, steps: Steps, points, by_hand, w: float, b: float) -> None:
    """The first steps: the predictions, the loss, and the gradient of both parameters."""
    xs, ys = points
    n, num, sign = len(xs), latex.number, latex.signed
    if steps(text.read("example_guess_title")):
        text.show("example_guess")
        st.latex(
            r"\begin{aligned}"
            + r" \\ ".join(
                rf"{num(w)} \cdot {sign(hours)} + {sign(b)} &= {num(prediction)}"
                for hours, prediction in zip(xs, by_hand.guesses.tolist())
            )
            + r"\end{aligned}"
        )
    if steps(text.read("example_loss_title")):
        text.show("example_loss")
        errors = by_hand.errors.tolist()
        st.latex(
            r"\begin{aligned}"
            + r" \\ ".join(
                rf"{num(prediction)} - {sign(target)} &= {num(error)} & ({num(error)})^2 &= {num(error**2)}"
                for prediction, target, error in zip(by_hand.guesses.tolist(), ys, errors)
            )
            + r"\end{aligned}"
        )
        terms = " + ".join(num(value) for value in by_hand.squares.tolist())
        st.latex(rf"\text{{loss}} = \frac{{{terms}}}{{{n}}} = {num(by_hand.loss)}")
    if steps(text.read("example_gradient_title")):
        text.show("example_gradient")
        for name, slopes, mean in (
            ("w", by_hand.slopes_w, by_hand.slope_w),
            ("b", by_hand.slopes_b, by_hand.slope_b),
        ):
            terms = " + ".join(sign(value) for value in slopes.tolist())
            st.latex(
                rf"\frac{{\partial\,\text{{loss}}}}{{\partial {name}}} = \frac{{{terms}}}{{{n}}} = {num(mean)}"
            )


def print_later_steps(text: words.Words, states: list, minimum: float, rate: float) -> None:
    """The first steps as a table, and the outcome."""
    text.show("example_again")
    rows = [
        f"| {state.step} | {state.w:.4f} | {state.b:.4f} | {state.loss:.4f} |"
        for state in states[: SHOWN + 1]
    ]
    st.markdown("| step | w | b | loss |\n|--:|--:|--:|--:|\n" + "\n".join(rows))
    result = outcome(states, N_STEPS, minimum)
    if result == "flies":
        text.show("example_again_flies", rate=rate)
    elif result == "lands":
        text.show("example_again_lands", rate=rate, n=N_STEPS, w=states[-1].w, b=states[-1].b, least=minimum)
    else:
        text.show("example_again_crawls", rate=rate, n=N_STEPS, loss=states[-1].loss, least=minimum)


def products(text: words.Words, steps: Steps) -> None:
    """A matrix product as a table of dot products, and the linear layer that uses it."""
    if steps(text.read("example_product_title")):
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
    if steps(text.read("example_linear_title")):
        text.show("example_linear")
