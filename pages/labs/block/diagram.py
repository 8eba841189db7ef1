"""Chapter 6: one block as a diagram."""

from itertools import pairwise

import streamlit as st

from pages.kit import controls, diagram, dim_colors, session, words
from pages.kit.controls import Dial

NORM_POSITIONS = ("pre", "branch", "pre+branch", "post")


@st.fragment
def flow() -> None:
    """One block as a chart, with the shapes of the model in use and the chosen norm placement."""
    text = words.load("06_block")
    config = session.model_in_use().config
    left, right = st.columns(2, gap="large")
    with left:
        tokens = controls.integer(
            text.read("diagram_tokens"),
            "c6_flow_t",
            Dial("", 1, config.context_length, 1, "The number of tokens in the text."),
            16,
        )
    with right:
        norm_position = controls.choice(
            text.read("diagram_place"), "c6_flow_place", NORM_POSITIONS, default=config.norm_position
        )
    text.show("diagram", tokens=tokens)
    match norm_position:
        case "pre":
            text.show("diagram_pre")
        case "post":
            text.show("diagram_post")
        case "branch":
            text.show("diagram_branch")
        case _:
            text.show("diagram_both")
    diagram.flowchart(
        *block_chart(config, tokens, norm_position),
        alt=f"One block with the norm placement {norm_position}, from residual stream to residual stream",
    )


def block_chart(config, tokens: int, norm_position: str) -> tuple[list[diagram.Node], list[diagram.Edge]]:
    """The boxes and arrows of one block: both sub-layers, with the norms of this placement."""
    sizes = dim_colors.sizes_of(config)
    t, c, h, d, f = tokens, sizes["C"], sizes["H"], sizes["D"], sizes["F"]
    node, edge = diagram.Node, diagram.Edge
    stream = {"T": t, "C": c}
    gate = {"swiglu": "SiLU", "geglu": "GELU"}.get(config.ffn)
    sub_layers = {
        "attention": [
            node("qkv", "qkv_proj (query rows)", "weight", {"C": c, "H·D": h * d}),
            node("attend", "attention (chapter 5)", "step"),
            node("o", "o_proj", "weight", {"H·D": h * d, "C": c}),
        ],
        "feedforward": [
            node("wide", "gate_up_proj (two of these)" if gate else "up_proj", "weight", {"C": c, "F": f}),
            node("activate", f"{gate} of the gate, times up" if gate else config.ffn.upper(), "step"),
            node("down", "down_proj", "weight", {"F": f, "C": c}),
        ],
    }
    nodes, edges, stream_node = [node("x0", "residual stream", sizes=stream)], [], "x0"
    for number, (name, parts) in enumerate(sub_layers.items(), 1):
        before = [node(f"pre{number}", "norm", "step")] if norm_position.startswith("pre") else []
        after = (
            [node(f"branch{number}", "norm of the output", "step")]
            if norm_position.endswith("branch")
            else []
        )
        branch = [*before, *parts, *after]
        add, out = (
            node(f"add{number}", "add", "step"),
            node(
                f"x{number}",
                f"residual stream after {name.replace('feedforward', 'feed-forward')}",
                sizes=stream,
            ),
        )
        on_sum = [node(f"post{number}", "norm of the sum", "step")] if norm_position == "post" else []
        path = [stream_node, *(box.name for box in (*branch, add, *on_sum, out))]
        nodes += [*branch, add, *on_sum, out]
        edges += [edge(a, b) for a, b in pairwise(path)]
        edges.append(edge(stream_node, add.name, "unchanged"))
        stream_node = out.name
    return nodes, edges
