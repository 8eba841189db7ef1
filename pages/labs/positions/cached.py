"""What chapter 4 measures, cached between reruns of its page."""

import streamlit as st

from gptcore.experiments.measurements import positions
from pages.kit.models import ModelHandle


@st.cache_data(max_entries=64, show_spinner="Computing the loss beyond the trained context")
def loss_by_position(handle: ModelHandle, method: str, factor: float) -> list[float]:
    """The loss of a model by position, beyond its trained context, with its frequencies scaled or as trained."""
    model, tokenizer = handle.load()
    scaling = positions.scalings(factor, model.config.context_length)[method]
    return positions.loss_by_position(model, tokenizer, scaling)


@st.cache_data(max_entries=32, show_spinner=False)
def order_known(schemes: tuple[str, ...], n_layers: int, causal: bool) -> list[float]:
    """How much the last output of an untrained model changes when all earlier tokens are shuffled, by scheme."""
    return [positions.order_known(scheme, n_layers, causal=causal) for scheme in schemes]


@st.cache_data(max_entries=64, show_spinner=False)
def remaining_score(width: int, base: float, distances: tuple[int, ...]) -> list[float]:
    """The score of two equal vectors at some distances, relative to distance 0."""
    return positions.remaining_score(width, base, distances)
