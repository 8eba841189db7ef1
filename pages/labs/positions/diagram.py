"""Chapter 4: where positions enter the model in use, as a diagram."""

import streamlit as st

from gptcore.config import ModelConfig
from pages.kit import controls, diagram, dim_colors, session, words
from pages.kit.controls import Dial
from pages.kit.diagram import Edge, Node


@st.fragment
def flow() -> None:
    """Where positions enter a layer, with the shapes of the model in use."""
    text = words.load("04_positions")
    config = session.model_in_use().config
    side, control = diagram.heading()
    with control:
        dial = Dial("", 1, config.context_length, 1, text.read("diagram_tokens_help"))
        tokens = controls.integer(
            text.read("diagram_tokens"), "c4_flow_t", dial, min(16, config.context_length)
        )
    with side:
        if config.position == "rope":
            text.show("diagram")
        else:
            text.show("diagram_other", scheme=config.position)
    nodes, edges = _nodes_and_edges(config, tokens, text.read("diagram_weights"))
    diagram.flowchart(nodes, edges, alt=text.read("diagram_alt"))


def _nodes_and_edges(config: ModelConfig, t: int, weights: str) -> tuple[list[Node], list[Edge]]:
    """A layer's attention with its positions: added to the embeddings, as a rotation of queries and keys, or none."""
    added, rotated = config.position in ("learned", "sinusoidal"), config.position == "rope"
    sizes = dim_colors.sizes_of(config)
    c, h, k, d = sizes["C"], sizes["H"], sizes["K"], sizes["D"]
    stream = {"T": t, "C": c}
    nodes = [
        Node("ids", "ids", sizes={"T": t}),
        Node("emb", "embedding", "weight", sizes={"V": sizes["V"], "C": c}),
        Node("x", "one vector per token", sizes=stream),
    ]
    edges = [Edge("ids", "emb"), Edge("emb", "x")]
    if added:
        kind = "weight" if config.position == "learned" else "value"
        nodes += [Node("table", "one vector per position", kind, sizes=stream), Node("add", "add", "step")]
        edges += [Edge("x", "add"), Edge("table", "add")]
    nodes += [
        Node("q", "queries", sizes={"H": h, "T": t, "D": d}),
        Node("k", "keys", sizes={"K": k, "T": t, "D": d}),
        Node("v", "values", sizes={"K": k, "T": t, "D": d}),
    ]
    edges += [Edge("add" if added else "x", name) for name in "qkv"]
    if rotated:
        nodes += [
            Node("positions", "positions 0, 1, 2, …", sizes={"T": t}),
            Node("cs", "rope_table: cos and sin", sizes={"T": t, "D": d}),
            Node("rotate", "apply_rope", "step"),
            Node("q2", "rotated queries", sizes={"H": h, "T": t, "D": d}),
            Node("k2", "rotated keys, cached in this form (chapter 9)", sizes={"K": k, "T": t, "D": d}),
        ]
        edges += [
            Edge("positions", "cs"),
            Edge("cs", "rotate"),
            Edge("q", "rotate"),
            Edge("k", "rotate"),
            Edge("rotate", "q2"),
            Edge("rotate", "k2"),
            Edge("q2", "scores"),
            Edge("k2", "scores"),
        ]
    else:
        edges += [Edge("q", "scores"), Edge("k", "scores")]
    nodes += [Node("scores", "dot products", "step"), Node("mix", "weighted sum of values", "step")]
    edges += [Edge("scores", "mix", weights), Edge("v", "mix")]
    return nodes, edges
