"""Chapter 5: the attention sub-layer as a diagram."""

import streamlit as st

from pages.kit import controls, diagram, dim_colors, session, words
from pages.kit.controls import Dial


@st.fragment
def flow() -> None:
    """The attention sub-layer as a flowchart, with the shapes of the model in use."""
    text = words.load("05_attention")
    config = session.model_in_use().config
    side, control = diagram.heading()
    with control:
        dial = Dial("", 1, config.context_length, 1, "Length of the text in tokens.")
        tokens = controls.integer("Tokens T", "c5_flow_t", dial, 16)
    with side:
        text.show("diagram", tokens=tokens)
    sizes = dim_colors.sizes_of(config)
    t, c, h, k, d = tokens, sizes["C"], sizes["H"], sizes["K"], sizes["D"]
    node, edge = diagram.Node, diagram.Edge
    rotated = config.position == "rope"
    nodes = [
        node("x", "x, normalized", sizes={"T": t, "C": c}),
        node("wq", "qkv_proj, query rows", "weight", {"C": c, "H·D": h * d}),
        node("wk", "qkv_proj, key rows", "weight", {"C": c, "K·D": k * d}),
        node("wv", "qkv_proj, value rows", "weight", {"C": c, "K·D": k * d}),
        node("q", "queries", sizes={"H": h, "T": t, "D": d}),
        node("k", "keys", sizes={"K": k, "T": t, "D": d}),
        node("v", "values", sizes={"K": k, "T": t, "D": d}),
        *([node("rotate", "rotate by position", "step")] if rotated else []),
        node("scores", "dot products, scaled by 1/√D", "step"),
        node("mask", "mask: −∞ above the diagonal", "step"),
        node("soft", "softmax over each row", "step"),
        node("weights", "attention weights", sizes={"H": h, "T": t, "S": t}),
        node("mix", "weighted sum of values", "step"),
        node("mixed", "head outputs", sizes={"H": h, "T": t, "D": d}),
        node("wo", "o_proj", "weight", {"H·D": h * d, "C": c}),
        node("out", "output, added to the residual stream", sizes={"T": t, "C": c}),
    ]
    edges = [
        *(edge("x", name) for name in ("wq", "wk", "wv")),
        edge("wq", "q"),
        edge("wk", "k"),
        edge("wv", "v"),
        *([edge("q", "rotate"), edge("k", "rotate"), edge("rotate", "scores")] if rotated else
          [edge("q", "scores"), edge("k", "scores")]),
        edge("scores", "mask"),
        edge("mask", "soft"),
        edge("soft", "weights"),
        edge("weights", "mix"),
        edge("v", "mix"),
        edge("mix", "mixed"),
        edge("mixed", "wo", "concatenate heads"),
        edge("wo", "out"),
    ]  # fmt: skip
    diagram.flowchart(nodes, edges, alt="The attention sub-layer, from input to output")
