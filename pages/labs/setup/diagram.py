"""Chapter 1: one step of training as a diagram."""

import streamlit as st

from gptcore.account import n_parameters
from pages.kit import controls, diagram, dim_colors, session, words
from pages.kit.controls import Dial


@st.fragment
def flow() -> None:
    """One step of training as a chart, with the shapes of the model in use."""
    text = words.load("01_setup")
    config = session.model_in_use().config
    side, control = diagram.heading()
    with control:
        dial = Dial("", 1, 64, 1, text.read("diagram_batch_help"))
        batch = controls.integer(text.read("diagram_batch"), "c1_flow_b", dial, 8)
    with side:
        text.show(
            "diagram", n=n_parameters(config), numbers=batch * config.context_length * config.vocab_size
        )
    sizes = dim_colors.sizes_of(config)
    b, t, v = batch, config.context_length, sizes["V"]
    node, edge = diagram.Node, diagram.Edge
    nodes = [
        node("ids", "token ids", sizes={"B": b, "T": t}),
        node("weights", f"{n_parameters(config):,} parameters", "weight"),
        node("forward", "forward pass", "step"),
        node("logits", "logits: scores for the next token", sizes={"B": b, "T": t, "V": v}),
        node("targets", "targets: the next tokens", sizes={"B": b, "T": t}),
        node("compare", "mean of −ln p", "step"),
        node("loss", "loss: one number"),
        node("backward", "backward pass: autograd", "step"),
        node("gradient", f"gradient: {n_parameters(config):,} numbers"),
        node("step", "step: parameter − learning rate · gradient", "step"),
    ]
    edges = [
        edge("ids", "forward"),
        edge("weights", "forward"),
        edge("forward", "logits"),
        edge("logits", "compare"),
        edge("targets", "compare"),
        edge("compare", "loss"),
        edge("loss", "backward"),
        edge("backward", "gradient"),
        edge("gradient", "step"),
        edge("step", "weights", "repeat"),
    ]
    diagram.flowchart(
        nodes, edges, alt="One training step: forward pass, loss, backward pass, parameter update"
    )
