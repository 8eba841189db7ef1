"""Chapter 11: the formulas for parameters, cache and compute, with numbers filled in."""

import math

import streamlit as st

from gptcore.account import cache_bytes, forward_flops, n_parameters, training_bytes
from gptcore.config import ModelConfig
from gptcore.lessons.published_models import MODEL_CONFIGS
from pages.kit import controls, words
from pages.kit.latex import whole
from pages.kit.units import readable_bytes
from pages.labs.glossary.example import LENGTHS


@st.fragment
def formulas() -> None:
    """The formulas of the book, with the numbers of one model filled in."""
    text = words.load("11_glossary")
    text.show("lab_formulas")
    left, middle, right = st.columns(3, gap="medium")
    with left:
        name = controls.dropdown(
            text.read("lab_formulas_model"),
            "c11_formulas_model",
            list(MODEL_CONFIGS),
            default="small",
        )
    with middle:
        t = controls.value_slider(text.read("lab_formulas_tokens"), "c11_formulas_tokens", LENGTHS, 1024)
    with right:
        loss = controls.number(
            text.read("lab_formulas_loss"), "c11_formulas_loss", 0.5, 11.0, 3.0, 0.1, "In nats per token."
        )
    for title, line in lines_of(MODEL_CONFIGS[name], t, loss):
        st.markdown(f"**{title}**")
        st.latex(line)


def lines_of(config: ModelConfig, t: int, loss: float) -> list[tuple[str, str]]:
    """Each formula as a title and a line of LaTeX with the numbers filled in."""
    n, c, layers = n_parameters(config), config.d_model, config.n_layers
    h, k, d = config.n_heads, config.n_kv_heads, config.head_dim
    flops = forward_flops(config, t)
    fast, slow = 2 * math.pi, 2 * math.pi * config.rope_theta ** ((d - 2) / d)
    rows = [
        (
            "Attention parameters per layer",
            rf"2 C \cdot HD + 2 C \cdot KD = {whole(2 * c * h * d + 2 * c * k * d)}",
        ),
        (
            "Training memory, without activations",
            rf"16 N = 16 \cdot {whole(n)} = \text{{{readable_bytes(training_bytes(config))}}}",
        ),
        (
            "KV cache in bf16",
            rf"2 \cdot L \cdot K \cdot D \cdot T \cdot 2 = 2 \cdot {layers} \cdot {k} \cdot {d} \cdot "
            rf"{whole(t)} \cdot 2 = \text{{{readable_bytes(cache_bytes(config, t, bytes_per_value=2))}}}",
        ),
        (
            "FLOPs of one forward pass",
            rf"2 T \cdot N_\text{{multiplied}} + 4 L T^2 H D = {power(sum(flops.values()))}",
        ),
        ("FLOPs to train on T tokens", rf"6 \cdot N \cdot T \approx {power(6 * n * t)}"),
        ("Attention scores per layer", rf"H \cdot T^2 = {h} \cdot {whole(t)}^2 = {power(h * t * t)}"),
        (
            "Loss of a uniform prediction",
            rf"\ln V = \ln {whole(config.vocab_size)} = "
            rf"{math.log(config.vocab_size):.4f}",
        ),
        ("Perplexity", rf"e^\text{{loss}} = e^{{{loss:.1f}}} = {math.exp(loss):,.2f}".replace(",", "{,}")),
        ("Bits per token", rf"\text{{loss}} / \ln 2 = {loss:.1f} / 0.6931 = {loss / math.log(2):.3f}"),
        ("Scale of the attention scores", rf"1 / \sqrt{{D}} = 1 / \sqrt{{{d}}} = {d**-0.5:.4f}"),
    ]
    if config.position == "rope":
        rows.append(
            (
                "Wavelength of the fastest and the slowest RoPE pair, in tokens",
                rf"2\pi = {fast:.2f} \qquad 2\pi \cdot \theta^{{(D-2)/D}} = {whole(round(slow))}",
            )
        )
    return rows


def power(value: float) -> str:
    r"""A large number in LaTeX, in scientific notation: 2.91 · 10^11.

    >>> power(291_000_000_000)
    '2.91 \\cdot 10^{11}'
    """
    exponent = math.floor(math.log10(value))
    return rf"{value / 10**exponent:.2f} \cdot 10^{{{exponent}}}"
