"""Chapter 1: two weights learn from four points, every number printed; then a matrix product."""

import streamlit as st
import torch

from gptcore.lessons import line_fit, shapes
from pages.kit import controls, latex, prompt, words
from pages.kit.worked_example import Steps
from pages.labs.setup.descent import (
    HOURS,
    KEPT_HOURS,
    KEPT_LEVELS,
    LANDS,
    LEVELS,
    N_STEPS,
    descent_steps,
    outcome,
)

NAMES = ("hours x", "level y")
RATE = LANDS
A = ((1.0, 2.0, 0.5), (0.0, -1.0, 3.0))
B = ((2.0, 1.0), (1.0, 0.0), (4.0, -2.0))
SHOWN = 5  # steps printed one by one


@st.fragment
def worked_example() -> None:
    """Two weights learn from four points, every number printed; then a matrix product."""
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
        w = controls.number(text.read("example_w"), "c1_w", -2.0, 2.0, 0.0, 0.1, text.read("example_w_help"))
        b = controls.number(text.read("example_b"), "c1_b", -2.0, 4.0, 0.0, 0.1, text.read("example_b_help"))
        rate = controls.number(
            text.read("example_rate"), "c1_rate", 0.01, 0.3, RATE, 0.01, text.read("example_rate_help")
        )
    x, y = (torch.tensor(row) for row in points)
    print_steps(text, points, line_fit.by_hand(x, y, w, b), w, b, rate)


def print_steps(text: words.Words, points, found, w: float, b: float, rate: float) -> None:
    """The steps of the example with their numbers put in."""
    xs, ys = points
    x, y = torch.tensor(xs), torch.tensor(ys)
    num, sign = latex.number, latex.signed
    with Steps(9, key="c1_steps") as open_:
        print_loss_and_gradient(text, open_, points, found, w, b)
        taken = descent_steps(rate, N_STEPS, xs, ys, w=w, b=b)
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
            print_later_steps(text, taken, line_fit.loss_at(x, y, *line_fit.best(x, y)), rate)
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


def print_loss_and_gradient(text: words.Words, open_: Steps, points, found, w: float, b: float) -> None:
    """The first steps: what the line predicts, its loss, and the gradient of both weights."""
    xs, ys = points
    n, num, sign = len(xs), latex.number, latex.signed
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


def print_later_steps(text: words.Words, taken: list, least: float, rate: float) -> None:
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
