"""Chapter 4: where positions enter the model in use, as a diagram."""

import streamlit as st

from pages.kit import controls, diagram, dim_colors, session, words
from pages.kit.controls import Dial


@st.fragment
def flow() -> None:
    """Where the turn stands in a layer, with the shapes of the model in use."""
    text = words.load("04_positions")
    config = session.model_in_use().model.config
    dial = Dial("", 1, config.context_length, 1, text.read("diagram_tokens_help"))
    tokens = controls.whole(text.read("diagram_tokens"), "c4_flow_t", dial, min(16, config.context_length))
    added, turned = config.position in ("learned", "sinusoidal"), config.position == "rope"
    if turned:
        text.show("diagram")
    else:
        text.show("diagram_other", scheme=config.position)
    sizes = dim_colors.sizes_of(config)
    t, c, h, k, d = tokens, sizes["C"], sizes["H"], sizes["K"], sizes["D"]
    node, edge = diagram.Node, diagram.Edge
    nodes = [
        node("ids", "ids", sizes={"T": t}),
        node("emb", "embedding", "weight", sizes={"V": sizes["V"], "C": c}),
        node("x", "one vector a token", sizes={"T": t, "C": c}),
        *([node("table", "a vector a place", "weight" if config.position == "learned" else "value",
                sizes={"T": t, "C": c}), node("add", "add", "step")] if added else []),
        node("q", "queries", sizes={"H": h, "T": t, "D": d}),
        node("k", "keys", sizes={"K": k, "T": t, "D": d}),
        node("v", "values", sizes={"K": k, "T": t, "D": d}),
        *([node("places", "positions 0, 1, 2, …", sizes={"T": t}), node("cs", "rope_table: cos and sin",
           sizes={"T": t, "D": d}), node("turn", "apply_rope", "step"),
           node("q2", "turned queries", sizes={"H": h, "T": t, "D": d}),
           node("k2", "turned keys, kept so by the cache (chapter 9)", sizes={"K": k, "T": t, "D": d})]
          if turned else []),
        node("scores", "compare", "step"),
        node("mix", "mix the values", "step"),
    ]  # fmt: skip
    edges = [
        edge("ids", "emb"),
        edge("emb", "x"),
        *([edge("x", "add"), edge("table", "add")] if added else []),
        *(edge("add" if added else "x", name) for name in "qkv"),
        *([edge("places", "cs"), edge("cs", "turn"), edge("q", "turn"), edge("k", "turn"), edge("turn", "q2"),
           edge("turn", "k2"), edge("q2", "scores"), edge("k2", "scores")] if turned else
          [edge("q", "scores"), edge("k", "scores")]),
        edge("scores", "mix", text.read("diagram_weights")),
        edge("v", "mix"),
    ]  # fmt: skip
    diagram.flowchart(nodes, edges, alt=text.read("diagram_alt"))
