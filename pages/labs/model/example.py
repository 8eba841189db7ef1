"""Chapter 7: the parameters and FLOPs of a small config, line by line."""

import streamlit as st

from gptcore.account import forward_flops, n_parameters, parameters
from gptcore.config import ConfigError, ModelConfig
from pages.kit import controls, words
from pages.kit.controls import Dial
from pages.kit.latex import whole
from pages.kit.worked_example import Steps

VOCABULARIES = (50, 512, 2048, 8192, 50_257)
WIDTHS = (8, 16, 32, 64, 128, 256)
HEADS = (1, 2, 4, 8)
INNER = (24, 48, 96, 192, 384, 768)
LENGTHS = (8, 32, 128, 256)


@st.fragment
def worked_example() -> None:
    """Parameters and FLOPs of a small config, line by line, with its numbers."""
    text = words.load("07_model")
    text.show("example")
    size_pane, depth_pane, heads_pane, text_pane = st.columns(4, gap="medium")
    with size_pane:
        v = controls.value_slider(text.read("example_v"), "c7_v", VOCABULARIES, 2048)
        c = controls.value_slider(text.read("example_c"), "c7_c", WIDTHS, 128)
    with depth_pane:
        layers = controls.integer(text.read("example_l"), "c7_l", Dial("", 1, 12, 1, ""), 4)
        f = controls.value_slider(text.read("example_f"), "c7_f", INNER, 384)
    with heads_pane:
        h = controls.value_slider(text.read("example_h"), "c7_h", HEADS, 4)
        k = controls.value_slider(text.read("example_k"), "c7_k", HEADS, 4)
    with text_pane:
        t = controls.value_slider(text.read("example_t"), "c7_t", LENGTHS, 256)
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
    """A product in LaTeX with its value, with thousands separators."""
    value = 1
    for factor in factors:
        value *= factor
    return " \\cdot ".join(whole(factor) for factor in factors) + f" = {whole(value)}"


def print_steps(text: words.Words, config: ModelConfig, n_tokens: int) -> None:
    """The parameters of each part, of a layer and in total, and the FLOPs for `n_tokens` tokens."""
    c, h, k, d, f = config.d_model, config.n_heads, config.n_kv_heads, config.head_dim, config.d_ff
    layers, counts = config.n_layers, parameters(config)
    with Steps(7, key="c7_steps") as open_:
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
            attention, feedforward = counts["attention"] // layers, counts["feedforward"] // layers
            each = attention + feedforward + 2 * c
            st.latex(
                rf"L \cdot (\text{{attention}} + \text{{feed-forward}} + 2C) = {layers} \cdot "
                rf"({whole(attention)} + {whole(feedforward)} + {whole(2 * c)}) = {whole(layers * each)}"
            )
        if open_(text.read("example_end_title")):
            text.show("example_end")
            st.latex(rf"C = {whole(c)} \qquad \text{{output layer: }} {whole(counts['output'])}")
        if open_(text.read("example_sum_title")):
            total = n_parameters(config)
            text.show("example_sum", share=counts["embedding"] / total)
            blocks = total - counts["embedding"] - counts["output"] - c
            st.latex(
                rf"{whole(counts['embedding'])} + {whole(blocks)} + {whole(c)} + {whole(counts['output'])} = "
                + whole(total)
            )
        if open_(text.read("example_operations_title")):
            text.show("example_operations")
            print_operations(text, config, n_tokens)


def print_operations(text: words.Words, config: ModelConfig, n_tokens: int) -> None:
    """The FLOPs of one forward pass, part by part, and of a training step."""
    flops = forward_flops(config, n_tokens)
    counts = parameters(config)
    total = sum(flops.values())
    st.latex(
        rf"\begin{{aligned}} "
        rf"\text{{attention}}\quad 2 \cdot T \cdot \text{{parameters}} &= "
        rf"{product(2, n_tokens, counts['attention'])} \\ "
        rf"\text{{scores}}\quad 4 \cdot L \cdot T^2 \cdot HD &= "
        rf"{product(4, config.n_layers, n_tokens, n_tokens, config.n_heads * config.head_dim)} \\ "
        rf"\text{{feed-forward}}\quad 2 \cdot T \cdot \text{{parameters}} &= "
        rf"{product(2, n_tokens, counts['feedforward'])} \\ "
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
