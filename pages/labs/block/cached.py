"""What chapter 6 measures on a model, cached between reruns of its page."""

import streamlit as st
import torch

from gptcore.interpret.gradient_depth import Profile, profile, without_block
from gptcore.model import GPT
from gptcore.tracing import trace
from pages.kit import initialization, story_data
from pages.kit.forward import Traced
from pages.kit.models import ModelHandle


@st.cache_resource(max_entries=8, show_spinner=False)
def traced_before_training(handle: ModelHandle, text: str) -> Traced:
    """The trace of a text through the model as it was initialized; raises ValueError for too many tokens."""
    tokenizer = handle.tokenizer
    ids = tokenizer.encode_prompt(text)
    return Traced(tuple(ids), tuple(map(tokenizer.token_text, ids)), trace(_initial_model(handle), ids))


def _initial_model(handle: ModelHandle) -> GPT:
    """The model with its initial weights, or another untrained one of the same config if they are not known."""
    return initialization.initial_model(handle) or initialization.untrained(handle.config)


@st.cache_data(max_entries=8, show_spinner="Reading a few stories")
def depth_profiles(handle: ModelHandle) -> tuple[Profile, Profile]:
    """Gradient and size of the residual stream by depth, with the initial weights and the current ones."""
    model, tokenizer = handle.load()
    batch = story_data.held_out_windows(tokenizer, min(64, model.config.context_length))
    return profile(_initial_model(handle), *batch), profile(model, *batch)


@st.cache_data(max_entries=4, show_spinner="Turning off one block at a time")
def losses_without_each_block(handle: ModelHandle) -> tuple[float, list[float]]:
    """The loss of a model on held-out stories, and its loss with each block turned off in turn."""
    model, tokenizer = handle.load()
    batch = story_data.held_out_windows(tokenizer, min(128, model.config.context_length))
    with torch.inference_mode():
        whole = float(model.loss(*batch))
    return whole, [without_block(model, layer, *batch) for layer in range(model.config.n_layers)]
