"""Chapter 11: the terms of the book on one map."""

from pages.kit import diagram, dim_colors, session, words


def flow() -> None:
    """The terms of the book on one map, with the shapes of the model in use."""
    text = words.load("11_glossary")
    text.show("diagram")
    config = session.model_in_use().config
    sizes, t = dim_colors.sizes_of(config), config.context_length
    node, edge = diagram.Node, diagram.Edge
    nodes = [
        node("text", "corpus, prompt"),
        node("tokens", "tokens, window, context (2)", sizes={"T": t}),
        node("table", "vocabulary, embedding, tying (2, 3)", "weight", {"V": sizes["V"], "C": sizes["C"]}),
        node("stream", "residual stream (6)", sizes={"T": t, "C": sizes["C"]}),
        node("attention", "attention: query, key, value, RoPE, mask, softmax (4, 5)", "step"),
        node("feedforward", "norm, SwiGLU (6)", "step"),
        node("logits", "logits (7)", sizes={"T": t, "V": sizes["V"]}),
        node("loss", "loss, perplexity, floor (8)"),
        node("steps", "gradient, AdamW, learning rate (8)", "step"),
        node("draw", "temperature, top-p, seed (9)", "step"),
        node("cache", "KV cache (9)", sizes={"T": t, "K": sizes["K"], "D": sizes["D"]}),
        node("answer", "template, tuning, preferences (10)", "step"),
    ]
    edges = [
        edge("text", "tokens"), edge("tokens", "table"), edge("table", "stream"), edge("stream", "attention"),
        edge("attention", "stream", "adds"), edge("stream", "feedforward"),
        edge("feedforward", "stream", "adds"), edge("stream", "logits"), edge("logits", "loss", "training"),
        edge("loss", "steps"), edge("steps", "table", "updates all parameters"),
        edge("logits", "draw", "inference"), edge("draw", "tokens", "append"),
        edge("attention", "cache", "stores keys and values"), edge("cache", "attention"),
        edge("answer", "text", "new training text"),
    ]  # fmt: skip
    diagram.flowchart(nodes, edges, alt=text.read("diagram_alt"))
