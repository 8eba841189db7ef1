"""Chapter 7: the finding, parameters and operations counted line by line, and the whole model as a chart."""

import streamlit as st

from gptcore.account import forward_flops, n_parameters, parameters
from gptcore.config import PRESETS, ConfigError, ModelConfig
from pages.kit import controls, diagram, dim_colors, figures, plots, session, words
from pages.kit.controls import Dial
from pages.kit.worked_example import Steps

PARTS = {
    "embedding": "word list (embedding)",
    "positions": "places (learned positions)",
    "attention": "attention",
    "feedforward": "feed-forward",
    "norms": "norms",
    "output": "word list once more (output)",
}
LETTERS = {
    "word list (embedding)": "V",
    "places (learned positions)": "T",
    "attention": "H",
    "feed-forward": "F",
    "norms": "C",
    "word list once more (output)": "V",
}
VOCABULARIES = (50, 512, 2048, 8192, 50_257)
WIDTHS = (8, 16, 32, 64, 128, 256)
HEADS = (1, 2, 4, 8)
INNER = (24, 48, 96, 192, 384, 768)
LENGTHS = (8, 32, 128, 256)


def named_parts(config: ModelConfig) -> dict[str, int]:
    """The weights of each part that has any, under the names the page uses."""
    return {PARTS[name]: count for name, count in parameters(config).items() if count}


def area(config: ModelConfig, name: str, revision: str, height: int = 340) -> figures.Picture:
    """The weights of a model as areas."""
    return plots.treemap(
        named_parts(config), whole=name, unit="weights", letters=LETTERS, height=height, revision=revision
    )


def finding() -> None:
    """What the 17 M preset is made of."""
    text = words.load("07_model")
    config = PRESETS["tiny"].model
    found = parameters(config)
    text.show(
        "finding",
        weights=n_parameters(config),
        share=found["embedding"] / n_parameters(config),
        vocabulary=config.vocab_size,
        width=config.d_model,
    )
    picture = area(config, "tiny", "finding")
    st.plotly_chart(picture.figure, key="c7_finding", config=figures.CONFIG, alt=picture.alt)
    text.show("finding_says", layers=config.n_layers)


@st.fragment
def worked_example() -> None:
    """Weights and operations of a small config, line by line, with the numbers put in."""
    text = words.load("07_model")
    text.show("example")
    one, two, three, four = st.columns(4, gap="medium")
    with one:
        v = controls.stops(text.read("example_v"), "c7_v", VOCABULARIES, 2048)
        c = controls.stops(text.read("example_c"), "c7_c", WIDTHS, 128)
    with two:
        layers = controls.whole(text.read("example_l"), "c7_l", Dial("", 1, 12, 1, ""), 4)
        f = controls.stops(text.read("example_f"), "c7_f", INNER, 384)
    with three:
        h = controls.stops(text.read("example_h"), "c7_h", HEADS, 4)
        k = controls.stops(text.read("example_k"), "c7_k", HEADS, 4)
    with four:
        t = controls.stops(text.read("example_t"), "c7_t", LENGTHS, 256)
        tied = controls.switch(text.read("example_tied"), "c7_tied", True)
    try:
        config = ModelConfig(
            vocab_size=v, context_length=max(LENGTHS), d_model=c, n_layers=layers, n_heads=h, n_kv_heads=k,
            d_ff=f, tie_embeddings=tied,
        )  # fmt: skip
    except ConfigError as error:
        st.error(text.read("example_illegal", why=error), icon=":material/block:")
        return
    print_steps(text, config, t)


def product(*factors: int) -> str:
    """A product in LaTeX with its value, thousands parted."""
    value = 1
    for factor in factors:
        value *= factor
    return " \\cdot ".join(big(factor) for factor in factors) + f" = {big(value)}"


def big(value: int) -> str:
    """A whole number in LaTeX, thousands parted.

    >>> big(1115264)
    '1{,}115{,}264'
    """
    return f"{value:,}".replace(",", "{,}")


def print_steps(text: words.Words, config: ModelConfig, n_tokens: int) -> None:
    """The weights of each part, of a layer and of the whole; and the operations on so many tokens."""
    c, h, k, d, f = config.d_model, config.n_heads, config.n_kv_heads, config.head_dim, config.d_ff
    layers, found = config.n_layers, parameters(config)
    open_ = Steps(7)
    if open_(text.read("example_table_title")):
        text.show("example_table")
        st.latex(rf"V \cdot C = {product(config.vocab_size, c)}")
    if open_(text.read("example_attention_title")):
        text.show("example_attention", d=d)
        st.latex(
            rf"\begin{{aligned}} \text{{queries}}\quad C \cdot HD &= {product(c, h * d)} \\ "
            rf"\text{{keys}}\quad C \cdot KD &= {product(c, k * d)} \\ "
            rf"\text{{values}}\quad C \cdot KD &= {product(c, k * d)} \\ "
            rf"\text{{output}}\quad HD \cdot C &= {product(h * d, c)} \end{{aligned}}"
        )
    if open_(text.read("example_feedforward_title")):
        text.show("example_feedforward")
        st.latex(rf"3 \cdot C \cdot F = {product(3, c, f)}")
    if open_(text.read("example_layers_title")):
        text.show("example_layers")
        attention, feedforward = found["attention"] // layers, found["feedforward"] // layers
        each = attention + feedforward + 2 * c
        st.latex(
            rf"L \cdot (\text{{attention}} + \text{{feed-forward}} + 2C) = {layers} \cdot "
            rf"({big(attention)} + {big(feedforward)} + {big(2 * c)}) = {big(layers * each)}"
        )
    if open_(text.read("example_end_title")):
        text.show("example_end")
        st.latex(rf"C = {big(c)} \qquad \text{{output layer: }} {big(found['output'])}")
    if open_(text.read("example_sum_title")):
        total = n_parameters(config)
        text.show("example_sum", share=found["embedding"] / total)
        inside = total - found["embedding"] - found["output"] - c
        st.latex(
            rf"{big(found['embedding'])} + {big(inside)} + {big(c)} + {big(found['output'])} = {big(total)}"
        )
    if open_(text.read("example_operations_title")):
        text.show("example_operations")
        print_operations(text, config, n_tokens)


def print_operations(text: words.Words, config: ModelConfig, n_tokens: int) -> None:
    """The operations of one forward pass, part by part, and of a step of training."""
    flops = forward_flops(config, n_tokens)
    found = parameters(config)
    total = sum(flops.values())
    st.latex(
        rf"\begin{{aligned}} "
        rf"\text{{attention}}\quad 2 \cdot T \cdot \text{{weights}} &= "
        rf"{product(2, n_tokens, found['attention'])} \\ "
        rf"\text{{scores}}\quad 4 \cdot L \cdot T^2 \cdot HD &= "
        rf"{product(4, config.n_layers, n_tokens, n_tokens, config.n_heads * config.head_dim)} \\ "
        rf"\text{{feed-forward}}\quad 2 \cdot T \cdot \text{{weights}} &= "
        rf"{product(2, n_tokens, found['feedforward'])} \\ "
        rf"\text{{output layer}}\quad 2 \cdot T \cdot C \cdot V &= "
        rf"{product(2, n_tokens, config.d_model, config.vocab_size)} \end{{aligned}}"
    )
    text.show(
        "example_operations_says",
        total=total,
        tokens=n_tokens,
        each=total / n_tokens,
        training=3 * total,
        ratio=3 * total / n_tokens / n_parameters(config),
    )


@st.fragment
def flow() -> None:
    """The whole model in use from ids to logits, with its shapes."""
    text = words.load("07_model")
    config = session.model_in_use().model.config
    dial = Dial("", 1, config.context_length, 1, text.read("diagram_tokens_help"))
    t = controls.whole(text.read("diagram_tokens"), "c7_flow_t", dial, min(16, config.context_length))
    sizes = dim_colors.sizes_of(config)
    c, f, v = sizes["C"], sizes["F"], sizes["V"]
    text.show("diagram", layers=config.n_layers)
    node, edge = diagram.Node, diagram.Edge
    nodes = [
        node("ids", "ids", sizes={"T": t}),
        node("table", "embedding", "weight", {"V": v, "C": c}),
        node("x", "the stream", sizes={"T": t, "C": c}),
        node("block", f"block, {config.n_layers} times: norm, attention, add; norm, feed-forward, add", "step"),
        node("inner", "inside a feed-forward layer", sizes={"T": t, "F": f}),
        node("left", f"the stream, {2 * config.n_layers} times written to", sizes={"T": t, "C": c}),
        node("norm", "final norm", "step"),
        node("out", "output layer" + (": the embedding once more" if config.tie_embeddings else ""),
             "weight", {"C": c, "V": v}),
        node("logits", "logits", sizes={"T": t, "V": v}),
    ]  # fmt: skip
    edges = [edge("ids", "table"), edge("table", "x"), edge("x", "block"), edge("block", "inner"),
             edge("inner", "block"), edge("block", "left"), edge("left", "norm"), edge("norm", "out"),
             edge("out", "logits")]  # fmt: skip
    diagram.flowchart(nodes, edges, alt=text.read("diagram_alt"))
