"""Chapter 9: one more token through the model, as a diagram."""

import streamlit as st

from pages.kit import controls, diagram, dim_colors, session, words
from pages.kit.controls import Dial


@st.fragment
def flow() -> None:
    """The path of one more token through the model, with the cache and the shapes of the model in use."""
    text = words.load("09_inference")
    config = session.model_in_use().config
    most = config.context_length
    seen = controls.integer(
        text.read("diagram_seen"), "c9_flow_s", Dial("", 1, most, 1, text.read("diagram_help")), min(24, most)
    )
    text.show("diagram", seen=seen, before=seen - 1)
    sizes = dim_colors.sizes_of(config)
    c, h, k, d, v = (sizes[letter] for letter in "CHKDV")
    node, edge = diagram.Node, diagram.Edge
    nodes = [
        node("id", "the newest token", sizes={"T": 1}),
        node("embed", "embedding", "weight", {"V": v, "C": c}),
        node("x", "hidden state", sizes={"T": 1, "C": c}),
        node("qkv", "qkv_proj, rotated by position", "step"),
        node("q", "one query per head", sizes={"H": h, "T": 1, "D": d}),
        node("new", "one key and one value per head", sizes={"K": k, "T": 1, "D": d}),
        node("cache", "KVCache.extend: this layer's keys and values", sizes={"K": k, "S": seen, "D": d}),
        node("attend", f"attend to all {seen} positions", "step"),
        node("rest", "feed-forward; next block", "step"),
        node("norm", "final norm, output layer", "weight", {"C": c, "V": v}),
        node("logits", "logits", sizes={"T": 1, "V": v}),
        node("filters", "penalty, temperature, top-k, top-p, min-p, softmax", "step"),
        node("p", "probabilities", sizes={"V": v}),
        node("draw", "sample with the seed", "step"),
    ]
    edges = [
        edge("id", "embed"),
        edge("embed", "x"),
        edge("x", "qkv"),
        edge("qkv", "q"),
        edge("qkv", "new"),
        edge("new", "cache", "stored"),
        edge("q", "attend"),
        edge("cache", "attend", "read"),
        edge("attend", "rest"),
        edge("rest", "qkv", f"{config.n_layers} blocks"),
        edge("rest", "norm"),
        edge("norm", "logits"),
        edge("logits", "filters"),
        edge("filters", "p"),
        edge("p", "draw"),
        edge("draw", "id", "next input"),
    ]
    diagram.flowchart(
        nodes,
        edges,
        alt="One more token: through the model, the KV cache and the filters to a sample",
    )
