"""Chapter 0: the whole model as a diagram."""

import streamlit as st

from pages.kit import controls, diagram, dim_colors, session, words
from pages.kit.controls import Dial


@st.fragment
def flow() -> None:
    """The whole model as a chart, with the sizes of the model in use."""
    text = words.load("00_overview")
    config = session.model_in_use().config
    side, control = diagram.heading()
    with control:
        dial = Dial("", 1, config.context_length, 1, "Length of the text in tokens.")
        tokens = controls.integer(text.read("diagram_tokens"), "c0_flow_t", dial, 6)
    with side:
        text.show("diagram", tokens=tokens)
    sizes = dim_colors.sizes_of(config)
    t, c, v = tokens, sizes["C"], sizes["V"]
    node, edge = diagram.Node, diagram.Edge
    same = ", the same matrix" if config.tie_embeddings else ""
    turns = ", which rotates queries by position" if config.position == "rope" else ""
    nodes = [
        node("text", "text", "step"),
        node("ids", "token ids", sizes={"T": t}),
        node("table", "embedding matrix", "weight", {"V": v, "C": c}),
        node("x", "one vector per token", sizes={"T": t, "C": c}),
        node("attention", f"attention to earlier tokens{turns}", "step"),
        node("feedforward", "feed-forward: each position separately", "step"),
        node("after", f"after block {config.n_layers} of {config.n_layers}", sizes={"T": t, "C": c}),
        node("norm", "final norm", "step"),
        node("output", f"output layer{same}", "weight", {"C": c, "V": v}),
        node("logits", "logits", sizes={"T": t, "V": v}),
        node("softmax", "softmax of the last row", "step"),
        node("shares", "probabilities", sizes={"V": v}),
        node("draw", "sample one token", "step"),
    ]  # fmt: skip
    edges = [
        edge("text", "ids"),
        edge("ids", "table"),
        edge("table", "x"),
        edge("x", "attention"),
        edge("attention", "feedforward", "add to the residual stream"),
        edge("feedforward", "attention", f"{config.n_layers} blocks in all"),
        edge("feedforward", "after", "add to the residual stream"),
        edge("after", "norm"),
        edge("norm", "output"),
        edge("output", "logits"),
        edge("logits", "softmax"),
        edge("softmax", "shares"),
        edge("shares", "draw"),
        edge("draw", "ids", "append"),
    ]
    diagram.flowchart(nodes, edges, alt="A language model from text to the next token, and back")
