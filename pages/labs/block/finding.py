"""Chapter 6: the finding at its top, the worked example, and the diagram of a block."""

import math
from itertools import pairwise

import streamlit as st
import torch

from gptcore.lessons import by_hand
from pages.kit import (
    controls,
    diagram,
    dim_colors,
    figures,
    initialization,
    latex,
    plots,
    prompt,
    session,
    words,
)
from pages.kit.controls import Dial
from pages.kit.worked_example import Steps

X = ((3.2, -1.5, 0.8, -4.1),)
GAIN = ((1.0, 1.0, 1.0, 1.0),)
W_GATE = ((0.5, -0.4), (0.3, 0.8), (-0.6, 0.2), (-0.7, 0.5))
W_UP = ((0.4, 0.9), (-0.8, 0.1), (0.5, -0.3), (-0.2, 0.6))
W_DOWN = ((0.7, -0.5, 0.3, 0.9), (-0.4, 0.6, 0.8, -0.2))
FINDING_BLOCKS = 48
NO_EPS, USUAL_EPS = 1e-20, 1e-5
PLACES = ("pre", "branch", "pre+branch", "post")


def powers(top: float, bottom: float) -> float:
    """How many powers of ten lie between two sizes."""
    return math.log10(top / bottom)


def drawable(values) -> list[float | None]:
    """Numbers for a logarithmic axis: what is 0 leaves a gap."""
    return [value if value > 0 else None for value in values]


def finding() -> None:
    """The one thing to see: the gradient along a deep stack, with and without its plus signs."""
    text = words.load("06_block")
    text.show("finding", n=FINDING_BLOCKS)
    cut, whole = (initialization.stack_profile(FINDING_BLOCKS, "pre", on, NO_EPS) for on in (False, True))
    picture = plots.curves(
        list(range(FINDING_BLOCKS + 1)),
        {"F(x): replaced": cut.gradients, "x + F(x): added": whole.gradients},
        x_title="after block (0 is before the first)",
        y_title=text.read("finding_chart"),
        log_y=True,
        height=260,
        revision="finding",
    )
    left, side = st.columns([3, 2], gap="large", vertical_alignment="center")
    left.plotly_chart(picture.figure, key="c6_finding", config=figures.CONFIG, alt=picture.alt)
    with side:
        text.show("finding_says", powers=powers(cut.gradients[0], whole.gradients[0]), n=FINDING_BLOCKS)


@st.fragment
def worked_example() -> None:
    """One token of four numbers through norm, SwiGLU and residual; everything to be edited."""
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
    """The seven steps with their numbers put in."""
    open_ = Steps(7)
    n, row = latex.number, lambda values: latex.matrix([list(map(float, values))])
    if open_(text.read("example_rms_title")):
        text.show("example_rms")
        squares = " + ".join(n(value) for value in steps.squares)
        st.latex(rf"\frac{{{squares}}}{{4}} = {n(steps.mean_square)}")
        st.latex(rf"\mathrm{{RMS}} = \sqrt{{{n(steps.mean_square)} + \varepsilon}} = {n(steps.rms)}")
    if open_(text.read("example_norm_title")):
        text.show("example_norm", centred=", ".join(n(value) for value in steps.centred))
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
        text.show("example_add", share=steps.share)
        st.latex(
            rf"\begin{{aligned}} x + F(x) &= {row(x)} + {row(steps.output)} \\ &= {row(steps.total)} \end{{aligned}}"
        )


@st.fragment
def flow() -> None:
    """One block as a chart, with the shapes of the model in use and the norm where it is put."""
    text = words.load("06_block")
    config = session.model_in_use().model.config
    left, right = st.columns(2, gap="large")
    with left:
        tokens = controls.whole(
            text.read("diagram_tokens"),
            "c6_flow_t",
            Dial("", 1, config.context_length, 1, "The text's length."),
            16,
        )
    with right:
        place = controls.choice(
            text.read("diagram_place"), "c6_flow_place", PLACES, default=config.norm_position
        )
    text.show("diagram", tokens=tokens)
    match place:
        case "pre":
            text.show("diagram_pre")
        case "post":
            text.show("diagram_post")
        case "branch":
            text.show("diagram_branch")
        case _:
            text.show("diagram_both")
    diagram.flowchart(
        *block_chart(config, tokens, place), alt=f"One block with the norm at {place}, from stream to stream"
    )


def block_chart(config, tokens: int, place: str) -> tuple[list[diagram.Node], list[diagram.Edge]]:
    """The boxes and arrows of one block: both halves, with the norms of this place."""
    sizes = dim_colors.sizes_of(config)
    t, c, h, d, f = tokens, sizes["C"], sizes["H"], sizes["D"], sizes["F"]
    node, edge = diagram.Node, diagram.Edge
    stream = {"T": t, "C": c}
    gated = config.ffn == "swiglu"
    inside = {
        "attention": [
            node("qkv", "qkv_proj, rows of the queries", "weight", {"C": c, "H·D": h * d}),
            node("look", "attention, chapter 5", "step"),
            node("o", "o_proj", "weight", {"H·D": h * d, "C": c}),
        ],
        "feedforward": [
            node("wide", "gate_up_proj, twice this" if gated else "up_proj", "weight", {"C": c, "F": f}),
            node("bend", "SiLU of one half, times the other" if gated else config.ffn.upper(), "step"),
            node("down", "down_proj", "weight", {"F": f, "C": c}),
        ],
    }
    nodes, edges, at = [node("x0", "stream", sizes=stream)], [], "x0"
    for number, (name, parts) in enumerate(inside.items(), 1):
        before = [node(f"pre{number}", "norm", "step")] if place.startswith("pre") else []
        behind = [node(f"branch{number}", "norm of the branch", "step")] if place.endswith("branch") else []
        branch = [*before, *parts, *behind]
        add, out = (
            node(f"add{number}", "add", "step"),
            node(f"x{number}", f"stream after {name}", sizes=stream),
        )
        on_sum = [node(f"post{number}", "norm of the sum", "step")] if place == "post" else []
        path = [at, *(one.name for one in branch), add.name, *(one.name for one in on_sum), out.name]
        nodes += [*branch, add, *on_sum, out]
        edges += [edge(a, b) for a, b in pairwise(path)]
        edges.append(edge(at, add.name, "unchanged"))
        at = out.name
    return nodes, edges
