"""Chapter 2: the path of a text through a tokenizer, as a diagram."""

import streamlit as st

from pages.kit import chips, diagram, dim_colors, prompt, session, words
from pages.kit.token_text import byte_chips


@st.fragment
def flow() -> None:
    """A text on its path to vectors, with the shapes of the model in use."""
    text = words.load("02_tokens")
    model = session.model_in_use()
    typed = prompt.text_input(text.read("diagram_text"), "c2_flow_text", "The queen lost her ring.")
    tokenizer, config = model.tokenizer, model.config
    ids = tokenizer.encode(typed)
    text.show("diagram", n_bytes=len(typed.encode("utf-8", "replace")), n_tokens=len(ids))
    chips.strip(byte_chips(ids, tokenizer), key="c2_flow_tokens", label="The text as the model's tokens")
    sizes = dim_colors.sizes_of(config)
    t, c, v = len(ids), sizes["C"], sizes["V"]
    node, edge = diagram.Node, diagram.Edge
    diagram.flowchart(
        [
            node("text", f"text, {len(typed)} characters"),
            node("cut", "split by the pattern", "step"),
            node("pieces", f"{len(tokenizer.pieces(typed))} pre-tokens"),
            node("utf", "encode as UTF-8", "step"),
            node("bytes", f"{len(typed.encode('utf-8', 'replace'))} bytes"),
            node("merge", f"{len(tokenizer.merges):,} merges, in order", "step"),
            node("ids", "ids", sizes={"T": t}),
            node("table", "embedding matrix: one row per token", "weight", {"V": v, "C": c}),
            node("x", "vectors, into the first block", sizes={"T": t, "C": c}),
        ],
        [
            edge("text", "cut"),
            edge("cut", "pieces"),
            edge("pieces", "utf"),
            edge("utf", "bytes"),
            edge("bytes", "merge"),
            edge("merge", "ids"),
            edge("ids", "table", "look up"),
            edge("table", "x"),
        ],
        alt="From text to token ids to vectors",
    )
    text.show("diagram_back")
