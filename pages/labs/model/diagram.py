"""Chapter 7: the whole model, from token ids to logits, as a diagram."""

import streamlit as st

from pages.kit import controls, diagram, dim_colors, session, words
from pages.kit.controls import Dial


@st.fragment
def flow() -> None:
    """The model in use as a flowchart from token ids to logits, with its shapes."""
    text = words.load("07_model")
    config = session.model_in_use().config
    dial = Dial("", 1, config.context_length, 1, text.read("diagram_tokens_help"))
    t = controls.integer(text.read("diagram_tokens"), "c7_flow_t", dial, min(16, config.context_length))
    sizes = dim_colors.sizes_of(config)
    c, f, v = sizes["C"], sizes["F"], sizes["V"]
    text.show("diagram", layers=config.n_layers)
    node, edge = diagram.Node, diagram.Edge
    nodes = [
        node("ids", "token ids", sizes={"T": t}),
        node("table", "embedding matrix", "weight", {"V": v, "C": c}),
        node("x", "residual stream", sizes={"T": t, "C": c}),
        node("block", f"block, {config.n_layers} times: norm, attention, add; norm, feed-forward network, add", "step"),
        node("inner", "inside a feed-forward network", sizes={"T": t, "F": f}),
        node("left", f"residual stream after {2 * config.n_layers} updates", sizes={"T": t, "C": c}),
        node("norm", "final norm", "step"),
        node("out", "output layer" + (" (tied: the embedding matrix)" if config.tie_embeddings else ""),
             "weight", {"C": c, "V": v}),
        node("logits", "logits", sizes={"T": t, "V": v}),
    ]  # fmt: skip
    edges = [edge("ids", "table"), edge("table", "x"), edge("x", "block"), edge("block", "inner"),
             edge("inner", "block"), edge("block", "left"), edge("left", "norm"), edge("norm", "out"),
             edge("out", "logits")]  # fmt: skip
    diagram.flowchart(nodes, edges, alt=text.read("diagram_alt"))
