"""Chapter 3: the embedding matrix before the blocks and after them, as a diagram."""

import streamlit as st

from pages.kit import controls, diagram, dim_colors, session, words
from pages.kit.controls import Dial


@st.fragment
def flow() -> None:
    """The uses of the embedding matrix: before the blocks and, if it is tied, after them."""
    text = words.load("03_embeddings")
    config = session.model_in_use().config
    side, control = diagram.heading()
    with control:
        dial = Dial("", 1, config.context_length, 1, "Length of the text in tokens.")
        tokens = controls.integer("Tokens T", "c3_flow_t", dial, 12)
    sizes = dim_colors.sizes_of(config)
    t, c, v = tokens, sizes["C"], sizes["V"]
    node, edge = diagram.Node, diagram.Edge
    tied = config.tie_embeddings
    with side:
        text.show("diagram_tied" if tied else "diagram_untied", v=v, c=c, weights=v * c)
    own = [] if tied else [node("output", "output layer, a separate matrix", "weight", {"V": v, "C": c})]
    nodes = [
        node("ids", "ids", sizes={"T": t}),
        node("table", "embedding matrix", "weight", {"V": v, "C": c}),
        node("x", "one row for each token", sizes={"T": t, "C": c}),
        node("blocks", f"{config.n_layers} blocks", "step"),
        node("h", "final vectors, normalized", sizes={"T": t, "C": c}),
        *own,
        node("dot", "dot product with every row", "step"),
        node("logits", "logits: a score for each token", sizes={"T": t, "V": v}),
    ]
    edges = [
        edge("ids", "table", "look up"),
        edge("table", "x"),
        edge("x", "blocks"),
        edge("blocks", "h"),
        edge("h", "dot"),
        edge("dot", "logits"),
    ]
    edges.append(edge("table", "dot", "the same matrix") if tied else edge("output", "dot"))
    diagram.flowchart(nodes, edges, alt="Where the model uses the embedding matrix")
