"""Chapter 10: the path from text to logits and back to text, as a diagram."""

from itertools import pairwise

from pages.kit import diagram, dim_colors, session, words


def flow() -> None:
    """Draw every stage of the script, with the shapes of the model in use."""
    text = words.load("10_script")
    text.show("diagram")
    config = session.model_in_use().config
    sizes, t = dim_colors.sizes_of(config), config.context_length
    node, edge = diagram.Node, diagram.Edge
    nodes = [
        node("text", "text: stories or your own"),
        node("bpe", "tokenizer (2)", "step"),
        node("windows", "windows of token ids", sizes={"T": t}),
        node("table", "embedding (3)", "weight", {"V": sizes["V"], "C": sizes["C"]}),
        node("blocks", f"{sizes['L']} blocks (4, 5, 6)", "weight", {"C": sizes["C"], "F": sizes["F"]}),
        node("out", "output layer (7)", "weight", {"C": sizes["C"], "V": sizes["V"]}),
        node("logits", "logits", sizes={"T": t, "V": sizes["V"]}),
        node("loss", "loss, gradient, update (8)", "step"),
        node("files", "config, weights, tokenizer (10)"),
        node("draw", "sample the next token (9)", "step"),
        node("new", "generated text"),
    ]
    path = ("text", "bpe", "windows", "table", "blocks", "out", "logits")
    edges = [
        *(edge(a, b) for a, b in pairwise(path)),
        edge("logits", "loss", "training"),
        edge("loss", "blocks", "updates the weights"),
        edge("out", "files", "save"),
        edge("logits", "draw", "generating"),
        edge("draw", "new"),
        edge("draw", "windows", "appended to the context"),
    ]
    diagram.flowchart(
        nodes, edges, alt="The stages of the script, from text through training to generated text"
    )
