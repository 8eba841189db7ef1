"""Chapter 8: one training step, as a diagram."""

import streamlit as st

from pages.kit import controls, diagram, dim_colors, session, words
from pages.kit.controls import Dial


@st.fragment
def flow() -> None:
    """Draw one training step, with the shapes of the model in use."""
    text = words.load("08_training")
    config = session.model_in_use().config
    rows = controls.integer(
        text.read("diagram_rows"), "c8_flow_b", Dial("", 1, 64, 1, text.read("diagram_help")), 8
    )
    sizes, t = dim_colors.sizes_of(config), config.context_length
    logits = rows * t * config.vocab_size
    text.show("diagram", rows=rows, tokens=rows * t, megabytes=4 * logits / 1e6)
    node, edge = diagram.Node, diagram.Edge
    c, v = sizes["C"], sizes["V"]
    nodes = [
        node("windows", "a batch of windows", sizes={"B": rows, "T": t + 1}),
        node("ids", "inputs: all but the last", sizes={"B": rows, "T": t}),
        node("targets", "targets: all but the first", sizes={"B": rows, "T": t}),
        node("model", "embedding, blocks, norm", "weight", {"L": config.n_layers, "C": c}),
        node("hidden", "last hidden states", sizes={"B": rows, "T": t, "C": c}),
        node("logits", "logits, a few rows at a time", sizes={"B": rows, "T": t, "V": v}),
        node("loss", "loss: mean of −ln p", "step"),
        node("backward", "backward pass: a gradient for every weight", "step"),
        node("clip", "clip the norm of all gradients", "step"),
        node("rate", "learning_rate(step)", "step"),
        node("optimizer", "Muon and AdamW", "step"),
        node("moved", "updated weights", "weight", {"L": config.n_layers, "C": c}),
    ]
    edges = [
        edge("windows", "ids"),
        edge("windows", "targets"),
        edge("ids", "model"),
        edge("model", "hidden"),
        edge("hidden", "logits"),
        edge("logits", "loss"),
        edge("targets", "loss"),
        edge("loss", "backward"),
        edge("backward", "clip"),
        edge("clip", "optimizer"),
        edge("rate", "optimizer"),
        edge("optimizer", "moved"),
        edge("moved", "windows", "next step"),
    ]
    diagram.flowchart(nodes, edges, alt="One step of training: from a batch of windows to updated weights")
