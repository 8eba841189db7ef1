"""What chapter 5 makes of a model or measures on it, kept between runs of its page."""

import streamlit as st

from gptcore.experiments.measurements import attention
from gptcore.experiments.measurements.attention import CausalFlag, Softness
from gptcore.interpret import heads
from gptcore.model import GPT
from pages.kit.models import ModelHandle


@st.cache_resource(max_entries=2, show_spinner=False)
def without_mask(handle: ModelHandle) -> GPT:
    """A model with the same weights in which every token sees every other."""
    return heads.without_mask(handle.model)


@st.cache_data(max_entries=2, show_spinner="Drawing queries and keys")
def softness(widths: tuple[int, ...], n_seeds: int = 3) -> dict[str, list[list[Softness]]]:
    """For each scale and each width, what a softmax over random scores looks like, seed by seed."""
    return {
        scale: [[attention.softness(width, scale, seed=seed) for seed in range(n_seeds)] for width in widths]
        for scale in attention.SCALES
    }


@st.cache_data(max_entries=4, show_spinner="Reading a few stories")
def losses_with_and_without_mask(handle: ModelHandle) -> tuple[float, float]:
    """The loss of a model on stories it has not seen, as it is and with its mask taken away."""
    model, tokenizer = handle.load()
    return (
        attention.loss_on_fresh_stories(model, tokenizer),
        attention.loss_on_fresh_stories(without_mask(handle), tokenizer),
    )


@st.cache_data(max_entries=128, show_spinner=False)
def causal_flag(n_new: int, n_cached: int) -> CausalFlag:
    """What the kernel's causal flag allows with a cache, beside what is right."""
    return attention.causal_flag(n_new, n_cached)


@st.cache_data(max_entries=8, show_spinner=False)
def path_difference(handle: ModelHandle, n_tokens: int) -> tuple[int, float]:
    """How far the explicit and the fused path of a model lie apart, on so many random tokens."""
    return attention.paths_differ(handle.model, n_tokens)
