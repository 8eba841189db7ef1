"""Chapter 5: attention in eight steps, with editable numbers and with a head of the model in use."""

import math

import streamlit as st
import torch

from gptcore.lessons import by_hand
from pages.kit import (
    chips,
    controls,
    dim_colors,
    escape,
    forward,
    latex,
    links,
    prompt,
    session,
    words,
)
from pages.kit.name_head import default_head, pick_head
from pages.kit.pronoun_story import beginning_that_fits, pronoun_story
from pages.kit.worked_example import Steps

TOKENS = ("token 1", "token 2", "token 3")
Q = ((0.8, 0.1), (-0.2, 0.7), (0.5, -0.4))
K = ((0.6, -0.3), (0.1, 0.5), (-0.4, 0.8))
V = ((0.4, 0.9), (-0.3, 0.2), (0.7, -0.1))
W_O = ((1.0, 0.0), (0.0, 1.0))
SHOWN = 3  # how many numbers of a wide vector are printed


@st.fragment
def worked_example() -> None:
    """Eight steps on three tokens with vectors of two numbers, all of them editable."""
    text = words.load("05_attention")
    text.show("example")
    matrices = []
    for column, (key, label, default, rows) in zip(
        st.columns(4, gap="small"),
        (
            ("c5_q", text.read("example_q"), Q, TOKENS),
            ("c5_k", text.read("example_k"), K, TOKENS),
            ("c5_v", text.read("example_v"), V, TOKENS),
            ("c5_o", text.read("example_o"), W_O, ("1", "2")),
        ),
    ):
        with column:
            matrices.append(prompt.matrix_input(key, default, rows=rows, columns=("1", "2"), label=label))
    with column:  # the last matrix has one row fewer than the others
        row, at = controls.matrix_cell(len(TOKENS), len(TOKENS), "c5_cell", text.read("example_cell"))
    q, k, v, o = matrices
    steps = by_hand.attention(*(torch.tensor(values) for values in matrices))
    print_steps(text, q, k, v, o, steps, row, at)


def print_steps(text: words.Words, q, k, v, o, steps, row: int, column: int) -> None:
    """The eight steps with their numbers; the chosen cell is framed and its computation written out."""
    with Steps(8, key="c5_steps") as open_:
        chosen = {(row, column)}
        raw, scores, masked = steps.raw.tolist(), steps.scores.tolist(), steps.masked.tolist()
        weights, mixed = steps.weights.tolist(), steps.mixed.tolist()
        subscript = f"{row + 1},{column + 1}"
        allowed = masked[row][column] != -math.inf
        if open_(text.read("example_given_title")):
            text.show("example_given")
            for panel, name, values in zip(st.columns(3), "QKV", (q, k, v)):
                panel.latex(f"{name} = {latex.matrix(values)}")
        if open_(text.read("example_compare_title")):
            text.show("example_compare")
            st.latex(rf"Q K^\top = {latex.matrix(raw, marked=chosen)}")
            st.latex(rf"q_{{{row + 1}}} \cdot k_{{{column + 1}}} = {latex.dot(q[row], k[column])}")
        if open_(text.read("example_scale_title")):
            text.show("example_scale")
            st.latex(rf"\frac{{Q K^\top}}{{\sqrt 2}} = {latex.matrix(scores, marked=chosen)}")
            st.latex(
                rf"s_{{{subscript}}} = \frac{{{latex.number(raw[row][column])}}}{{{math.sqrt(2):.4f}}} = "
                rf"{latex.number(scores[row][column])}"
            )
        if open_(text.read("example_mask_title")):
            text.show("example_mask")
            st.latex(latex.matrix(masked, marked=chosen))
        if open_(text.read("example_exp_title")):
            text.show("example_exp")
            st.latex(rf"e^{{s}} = {latex.matrix(steps.exponentials.tolist(), marked=chosen)}")
        if open_(text.read("example_share_title")):
            top = latex.number(steps.exponentials[row, column].item())
            terms = " + ".join(latex.number(value) for value in steps.exponentials[row, : row + 1].tolist())
            st.latex(rf"W = {latex.matrix(weights, marked=chosen)}")
            st.latex(rf"w_{{{subscript}}} = \frac{{{top}}}{{{terms}}} = {latex.number(weights[row][column])}")
            partly_masked = 0 if row == len(q) - 1 else row  # the last row has no masked cell
            text.show("example_share", row=partly_masked + 1, leaky=float(steps.struck[partly_masked].sum()))
        if open_(text.read("example_mix_title")):
            text.show("example_mix")
            last = len(q) - 1
            terms = [rf"{latex.number(weights[last][j])} \cdot {latex.matrix([v[j]])}" for j in range(len(v))]
            lines = r" \\ & + ".join(terms)
            st.latex(rf"\begin{{aligned}} & {lines} \\ & = {latex.matrix([mixed[last]])} \end{{aligned}}")
            st.latex(rf"W V = {latex.matrix(mixed)}")
        if open_(text.read("example_project_title")):
            text.show("example_project")
            st.latex(
                rf"\begin{{aligned}} \text{{output}} &= {latex.matrix(mixed)} {latex.matrix(o)} \\ &= "
                rf"{latex.matrix(steps.output.tolist())} \end{{aligned}}"
            )
    if not allowed:
        st.caption(
            f"Token {row + 1} cannot attend to token {column + 1}, so this cell is masked from step 4 on."
        )


@st.fragment
def real_steps() -> None:
    """The steps of one head of the model in use, on three tokens of a text."""
    text = words.load("05_attention")
    model = session.model_in_use()
    config = model.config
    st.subheader(text.read("example_real_title"), anchor="real")
    text.show("example_real", width=config.head_dim)
    story = pronoun_story()
    left, middle, right = st.columns([4, 2, 4], gap="small")
    with left:
        typed = prompt.text_input(text.read("example_real_text"), "c5_real_text", beginning_that_fits(model))
    try:
        traced = forward.traced(model, typed)
    except ValueError as error:
        st.error(escape.sentence(f"{error}."), icon=":material/error:")
        return
    if len(traced.ids) < 3:
        st.info(text.read("example_real_three"), icon=":material/info:")
        return
    best = default_head(model)
    with middle:
        head = pick_head("c5_real_head", text.read("lab_heads_head"), config, best)
    with right:
        positions = three_tokens(traced, text, best.position if typed == story.text else 0)
    if positions is None:
        return
    layer, number = head
    head_steps = by_hand.head_by_hand(model.model, traced.seen, layer, number, positions)
    print_real(text, model, traced, head_steps, positions, layer, number)


def three_tokens(traced: forward.Traced, text: words.Words, name_position: int) -> list[int] | None:
    """Three positions of a text, in the URL as ?c5_real=5,10,20; None until there are three."""
    last = len(traced.ids) - 1
    default = sorted({name_position, last // 2, last}) if 0 < last // 2 != name_position else [0, 1, last]
    key = "c5_real"
    names = [f"{position + 1} {chips.visible(token)}" for position, token in enumerate(traced.tokens)]
    from_link = links.read(key, links.Positions(3, last + 1), [position + 1 for position in default])
    if key not in st.session_state or any(position > last for position in st.session_state[key]):
        st.session_state[key] = [position - 1 for position in from_link]
    positions = st.multiselect(
        text.read("example_real_tokens"),
        list(range(last + 1)),
        format_func=lambda position: names[position],
        key=key,
        max_selections=3,
        disabled=links.locked(key),
    )
    links.write(
        key, ",".join(str(position + 1) for position in positions), ",".join(str(p + 1) for p in default)
    )
    if len(positions) < 3:
        st.info(text.read("example_real_three"), icon=":material/info:")
        return None
    return sorted(positions)


def print_real(
    text: words.Words, model, traced: forward.Traced, head_steps, positions: list[int], layer, head
) -> None:
    """Each step of a real head as a matrix; of wide matrices, the first columns."""
    steps, width = head_steps.steps, model.config.head_dim
    names = [chips.visible(traced.tokens[position]) for position in positions]
    n = len(traced.ids)

    def first(values) -> str:
        return latex.matrix(values[:, :SHOWN].tolist(), ".2f").replace(
            r" \\", r" & \dots \\"
        ).replace(r"\end", r" & \dots\end")  # fmt: skip

    def step(number: int, name: str, **sizes: int) -> None:
        st.markdown(f"**{number} · {name}** {dim_colors.shape(**sizes)}")

    with st.container(key="c5_real_steps"):
        st.markdown("Rows and columns: " + ", ".join(f"`{name}`" for name in names))
        project_tab, rotate_tab, weights_tab, mix_tab = st.tabs(
            ["Step 1", "Step 2", "Steps 3 to 6", "Steps 7 and 8"]
        )
        with project_tab:
            step(1, "Project", T=3, D=width)
            for column, name, values in zip(st.columns(3), "QKV", (head_steps.q, head_steps.k, head_steps.v)):
                column.latex(f"{name} = {first(values)}")
        with rotate_tab:
            step(2, f"Rotate by the positions {', '.join(map(str, positions))}", T=3, D=width)
            for column, name, values in zip(
                st.columns(3), "QK", (head_steps.q_rotated, head_steps.k_rotated)
            ):
                column.latex(f"{name}' = {first(values)}")
        with weights_tab:
            # Two columns per row: on a phone columns are stacked, and the steps must stay in order.
            (third, fourth), (fifth, sixth) = (st.columns(2, gap="large") for _ in range(2))
            with third:
                step(3, "Dot products", T=3, S=3)
                st.latex(rf"Q' K'^\top = {latex.matrix(steps.raw.tolist(), '.2f')}")
            with fourth:
                step(4, "Scale", T=3, S=3)
                scaled = latex.matrix(steps.scores.tolist(), ".2f")
                st.latex(rf"\frac{{Q' K'^\top}}{{\sqrt{{{width}}}}} = {scaled}")
            with fifth:
                step(5, "Mask", T=3, S=3)
                st.latex(latex.matrix(steps.masked.tolist(), ".2f"))
            with sixth:
                step(6, "Softmax", T=3, S=3)
                st.latex(rf"W = {latex.matrix(steps.weights.tolist(), '.3f')}")
            weight = traced.seen[f"layers.{layer}.attention.weights"][0, head, positions[-1], positions[0]]
            if n > 3:
                text.show("example_real_alone", name=names[0].strip("␣"), share=float(weight))
        with mix_tab:
            seventh, eighth = st.columns(2, gap="large")
            with seventh:
                step(7, "Weighted sum of the values", T=3, D=width)
                st.latex(rf"W V = {first(steps.mixed)}")
            with eighth:
                step(8, "Output projection, added to the residual stream", T=3, C=model.config.d_model)
                st.latex(rf"W V\, W_O = {first(steps.output)}")
