"""Chapter 5: cached models and measurements, kept between reruns of the page."""

import streamlit as st

from gptcore.experiments.measurements import attention
from gptcore.experiments.measurements.attention import CausalFlag, Softness
from gptcore.interpret import heads
from gptcore.model import GPT
from pages.kit.models import ModelHandle


@st.cache_resource(max_entries=2, show_spinner=False)
def without_mask(handle: ModelHandle) -> GPT:
    """A model with the same weights in which every token attends to every other."""
    return heads.without_mask(handle.model)


@st.cache_data(max_entries=2, show_spinner="Sampling queries and keys")
def softness(widths: tuple[int, ...], n_seeds: int = 3) -> dict[str, list[list[Softness]]]:
    """For each scale and head dimension, the statistics of a softmax over random scores, one per seed."""
    return {
        scale: [[attention.softness(width, scale, seed=seed) for seed in range(n_seeds)] for width in widths]
        for scale in attention.SCALES
    }


@st.cache_data(max_entries=4, show_spinner="Reading a few stories")
def losses_with_and_without_mask(handle: ModelHandle) -> tuple[float, float]:
    """The loss of a model on held-out stories, with its mask and without."""
    model, tokenizer = handle.load()
    return (
        attention.loss_on_fresh_stories(model, tokenizer),
        attention.loss_on_fresh_stories(without_mask(handle), tokenizer),
    )


@st.cache_data(max_entries=128, show_spinner=False)
def causal_flag(n_new: int, n_cached: int) -> CausalFlag:
    """The mask of torch's `is_causal` flag with a cache, and the correct one."""
    return attention.causal_flag(n_new, n_cached)


@st.cache_data(max_entries=8, show_spinner=False)
def path_difference(handle: ModelHandle, n_tokens: int) -> tuple[int, float]:
    """How many random tokens both paths processed, and the largest difference between their outputs."""
    return attention.paths_differ(handle.model, n_tokens)
