"""Models before any training: as a run initialized them, or drawn for a lab."""

import streamlit as st

from gptcore.config import ModelConfig
from gptcore.experiments.measurements.model import InitialLoss, initial_loss
from gptcore.interpret.gradient_depth import Profile, at_initialization, stack_config
from gptcore.model import GPT
from gptcore.runs.run import Run
from pages.kit import models
from pages.kit.models import ModelHandle


@st.cache_resource(max_entries=2, show_spinner=False)
def untrained(config: ModelConfig) -> GPT:
    """A model of this shape with the weights it is initialized with."""
    return GPT(config).eval()


@st.cache_resource(max_entries=2, show_spinner=False)
def initial_model(handle: ModelHandle) -> GPT | None:
    """A model as it was before its first step: kept by its run, or drawn again from its seed; None if unknown."""
    kept = models.snapshots(handle)
    if kept and kept[0].step == 0:
        return kept[0].handle.model
    seed = Run(handle.path).config().get("train", {}).get("seed")
    return None if seed is None else GPT(handle.config, seed=seed).eval()


@st.cache_data(max_entries=16, show_spinner=False)
def initial_losses(spreads: tuple[float, ...], tied: bool, seed: int) -> list[InitialLoss]:
    """The first losses of untrained models whose embedding matrices have these standard deviations."""
    return [initial_loss(spread, tied=tied, seed=seed) for spread in spreads]


@st.cache_data(max_entries=256, show_spinner="Building the stack")
def stack_profile(n_layers: int, norm_position: str, residual: bool, norm_eps: float) -> Profile:
    """Gradient and size of the stream along a stack of freshly initialized blocks."""
    return at_initialization(
        stack_config(n_layers, norm_position=norm_position, residual=residual, norm_eps=norm_eps)
    )
