"""Cached results of chapter 8's experiments with batches and learning rates."""

import streamlit as st

from gptcore.model import GPT
from gptcore.runs import lab_jobs
from gptcore.runs.worker_pool import Job
from gptcore.tokenizer import Tokenizer
from gptcore.training.gradient_noise import GradientAgreement, accumulation_error, gradient_agreements
from pages.kit import story_data
from pages.kit.models import ModelHandle


@st.cache_resource(max_entries=4, show_spinner=False)
def sweep(optimizer: str) -> Job:
    """A learning-rate sweep shared by all visitors, with one report per learning rate. The first call starts it."""
    return lab_jobs.submit_rate_finder(optimizer)


def stop_sweep(optimizer: str) -> None:
    """Stop a sweep and keep the results so far. For callbacks."""
    sweep(optimizer).cancel()


def forget_sweep(optimizer: str) -> None:
    """Forget a sweep, so that the next call starts it again. For callbacks."""
    sweep.clear(optimizer)


BATCH_SIZES = (1, 2, 4, 8, 16)
BATCH_DRAWS = 3
BATCH_LENGTH = 32  # tokens per window; longer windows take longer and show the same


@st.cache_data(max_entries=2, show_spinner="Taking gradients of a few batches")
def batch_agreements(handle: ModelHandle) -> list[GradientAgreement]:
    """How well gradients of a few windows agree with that of 64 others, for batches of each size."""
    return _agreements(*handle.load())


@st.cache_data(max_entries=2, show_spinner=False)
def fresh_batch_agreements(handle: ModelHandle) -> list[GradientAgreement]:
    """The same for a freshly initialized model of the same shape."""
    model, tokenizer = handle.load()
    return _agreements(GPT(model.config, seed=1), tokenizer)


def _agreements(model: GPT, tokenizer: Tokenizer) -> list[GradientAgreement]:
    windows = story_data.held_out_windows(tokenizer, BATCH_LENGTH, BATCH_DRAWS * sum(BATCH_SIZES) + 64, 60)
    return list(gradient_agreements(model, *windows, BATCH_SIZES, BATCH_DRAWS))


@st.cache_data(max_entries=16, show_spinner=False)
def batch_in_parts(handle: ModelHandle, parts: int) -> tuple[float, float]:
    """The relative error of a gradient accumulated over parts, and its relative norm without the division."""
    model, tokenizer = handle.load()
    return accumulation_error(model, *story_data.held_out_windows(tokenizer, BATCH_LENGTH, 16), parts)
