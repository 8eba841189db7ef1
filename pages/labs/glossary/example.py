"""Chapter 11: the worked example, the parameter count of a model as a sum of products."""

import streamlit as st

from gptcore.account import Summand, n_parameters, parameters, summands
from gptcore.config import BIASES, FEEDFORWARDS, NORMS, POSITIONS, PRESETS, ConfigError, ModelConfig
from pages.kit import controls, words
from pages.kit.controls import Dial
from pages.kit.latex import whole
from pages.kit.worked_example import Steps

SMALL = PRESETS["small"].model
VOCABULARIES = (2048, 8192, 32_000, 50_257, 128_256)
WIDTHS = (128, 256, 512, 768, 1024, 2048, 4096)
HEADS = (1, 2, 4, 8, 12, 16, 32)
INNER = (384, 768, 1024, 2048, 3072, 4096, 4608, 11_008, 14_336)
LENGTHS = (256, 1024, 4096, 8192)


@st.fragment
def worked_example() -> None:
    """The parameter count of the 151 M preset as a sum of products, and of the config the visitor makes of it."""
    text = words.load("11_glossary")
    text.show("example", total=n_parameters(SMALL))
    left, middle, right = st.columns(3, gap="medium")
    with left:
        v = controls.value_slider(text.read("example_v"), "c11_v", VOCABULARIES, SMALL.vocab_size)
        c = controls.value_slider(text.read("example_c"), "c11_c", WIDTHS, SMALL.d_model)
        f = controls.value_slider(text.read("example_f"), "c11_f", INNER, SMALL.d_ff)
    with middle:
        layers = controls.integer(text.read("example_l"), "c11_l", Dial("", 1, 32, 1, ""), SMALL.n_layers)
        h = controls.value_slider(text.read("example_h"), "c11_h", HEADS, SMALL.n_heads)
        k = controls.value_slider(text.read("example_k"), "c11_k", HEADS, SMALL.n_kv_heads)
    with right:
        t = controls.value_slider(text.read("example_t"), "c11_t", LENGTHS, SMALL.context_length)
        ffn = controls.choice(text.read("example_ffn"), "c11_ffn", list(FEEDFORWARDS), default="swiglu")
        tied = controls.switch(text.read("example_tied"), "c11_tied", True)
    with st.expander(text.read("example_more"), icon=":material/tune:"):
        norm = controls.choice(text.read("example_norm"), "c11_norm", list(NORMS), default="rmsnorm")
        position = controls.choice(
            text.read("example_position"), "c11_position", list(POSITIONS), default="rope"
        )
        bias = controls.choice(text.read("example_bias"), "c11_bias", BIASES, default="none")
    try:
        config = ModelConfig(
            vocab_size=v,
            context_length=t,
            d_model=c,
            n_layers=layers,
            n_heads=h,
            n_kv_heads=k,
            d_ff=f,
            tie_embeddings=tied,
            ffn=ffn,
            norm=norm,
            position=position,
            bias=bias,
        )
    except ConfigError as error:
        st.error(text.read("example_illegal", why=error), icon=":material/block:")
        return
    print_steps(text, config)


def print_steps(text: words.Words, config: ModelConfig) -> None:
    """Each part of the sum as a step, then the sum."""
    titles = {
        "embedding": text.read("example_embedding_title"),
        "positions": text.read("example_positions_title"),
        "attention": text.read("example_attention_title"),
        "feedforward": text.read("example_feedforward_title"),
        "norms": text.read("example_norms_title"),
        "output": text.read("example_output_title"),
    }
    counted = summands(config)
    used = [part for part in titles if any(summand.part == part for summand in counted)]
    with Steps(len(used) + 1, key="c11_steps") as open_:
        for part in used:
            if open_(titles[part]):
                lines = " \\\\ ".join(summand_latex(summand) for summand in counted if summand.part == part)
                st.latex(rf"\begin{{aligned}} {lines} \end{{aligned}}")
        if open_(text.read("example_sum_title")):
            total, counts = n_parameters(config), parameters(config)
            st.latex(" + ".join(whole(counts[part]) for part in used) + f" = {whole(total)}")
            largest = max(used, key=lambda part: counts[part])
            text.show("example_sum", part=titles[largest].lower(), share=counts[largest] / total)
            if config == SMALL:
                narrow = n_parameters(SMALL.replace(d_ff=2048))
                text.show("example_proportion", narrow=narrow)


def summand_latex(summand: Summand) -> str:
    r"""A summand in LaTeX: its name, the letters, the numbers filled in, and the product.

    >>> summand_latex(Summand("embedding", "embedding matrix", {"V": 2048, "C": 128}))
    '\\text{embedding matrix}\\quad V \\cdot C &= 2{,}048 \\cdot 128 = 262{,}144'
    """
    factors = {
        letter: int(value) for letter, value in summand.factors.items() if not (letter == "n" and value == 1)
    }
    letters = r" \cdot ".join(str(value) if letter == "n" else letter for letter, value in factors.items())
    numbers = r" \cdot ".join(whole(value) for value in factors.values())
    value = f"{numbers} = {whole(summand.count)}" if len(factors) > 1 else numbers
    return rf"\text{{{summand.name}}}\quad {letters} &= {value}"
