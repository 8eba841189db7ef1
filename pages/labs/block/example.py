"""Chapter 6: one token of four numbers through norm, SwiGLU and residual, step by step."""

import streamlit as st
import torch

from gptcore.lessons import by_hand
from pages.kit import latex, prompt, words
from pages.kit.worked_example import Steps

X = ((3.2, -1.5, 0.8, -4.1),)
GAIN = ((1.0, 1.0, 1.0, 1.0),)
W_GATE = ((0.5, -0.4), (0.3, 0.8), (-0.6, 0.2), (-0.7, 0.5))
W_UP = ((0.4, 0.9), (-0.8, 0.1), (0.5, -0.3), (-0.2, 0.6))
W_DOWN = ((0.7, -0.5, 0.3, 0.9), (-0.4, 0.6, 0.8, -0.2))


@st.fragment
def worked_example() -> None:
    """One token of four numbers through norm, SwiGLU and residual sum; every number can be edited."""
    text = words.load("06_block")
    text.show("example")
    four, two = ("1", "2", "3", "4"), ("1", "2")
    left, right = st.columns(2, gap="small")
    with left:
        x = prompt.matrix_input("c6_x", X, rows=("x",), columns=four, label=text.read("example_x"))
    with right:
        gain = prompt.matrix_input(
            "c6_gain", GAIN, rows=("g",), columns=four, label=text.read("example_gain")
        )
    first, second, third = st.columns([3, 3, 4], gap="small")
    with first:
        gate = prompt.matrix_input(
            "c6_gate_w", W_GATE, rows=four, columns=two, label=text.read("example_w_gate")
        )
    with second:
        up = prompt.matrix_input("c6_up_w", W_UP, rows=four, columns=two, label=text.read("example_w_up"))
    with third:
        down = prompt.matrix_input(
            "c6_down_w", W_DOWN, rows=two, columns=four, label=text.read("example_w_down")
        )
    steps = by_hand.feedforward_half(*map(torch.tensor, (x[0], gain[0], gate, up, down)))
    print_steps(text, x[0], gate, steps)


def print_steps(text: words.Words, x, gate, steps) -> None:
    """The seven steps with their numbers."""
    with Steps(7, key="c6_steps") as open_:
        n, row = latex.number, lambda values: latex.matrix([list(map(float, values))])
        if open_(text.read("example_rms_title")):
            text.show("example_rms")
            squares = " + ".join(n(value) for value in steps.squares)
            st.latex(rf"\frac{{{squares}}}{{4}} = {n(steps.mean_square)}")
            st.latex(rf"\mathrm{{RMS}} = \sqrt{{{n(steps.mean_square)} + \varepsilon}} = {n(steps.rms)}")
        if open_(text.read("example_norm_title")):
            text.show("example_norm", centered=", ".join(n(value) for value in steps.centered))
            st.latex(rf"\frac{{{n(x[0])}}}{{{n(steps.rms)}}} = {n(steps.unscaled[0])}")
            st.latex(rf"h = {row(steps.unscaled)} \odot g = {row(steps.normed)}")
        if open_(text.read("example_project_title")):
            text.show("example_project")
            st.latex(rf"h W_g = {row(steps.gate_logits)} \qquad h W_u = {row(steps.up)}")
            st.latex(rf"h \cdot W_g^{{(1)}} = {latex.dot(steps.normed, [line[0] for line in gate])}")
        if open_(text.read("example_silu_title")):
            text.show("example_silu")
            z = steps.gate_logits[0]
            st.latex(rf"\mathrm{{SiLU}}({n(z)}) = \frac{{{n(z)}}}{{1 + e^{{{n(-z)}}}}} = {n(steps.gate[0])}")
            st.latex(rf"\mathrm{{gate}} = {row(steps.gate)}")
        if open_(text.read("example_hidden_title")):
            text.show("example_hidden")
            products = [rf"{latex.signed(a)} \cdot {latex.signed(b)}" for a, b in zip(steps.gate, steps.up)]
            st.latex(
                r"\mathrm{hidden} = \begin{pmatrix}"
                + " & ".join(products)
                + rf"\end{{pmatrix}} = {row(steps.hidden)}"
            )
        if open_(text.read("example_down_title")):
            text.show("example_down")
            st.latex(rf"F(x) = {row(steps.hidden)}\, W_d = {row(steps.output)}")
        if open_(text.read("example_add_title")):
            text.show("example_add", share=steps.fraction)
            st.latex(
                rf"\begin{{aligned}} x + F(x) &= {row(x)} + {row(steps.output)} \\ &= {row(steps.total)}"
                r" \end{aligned}"
            )
