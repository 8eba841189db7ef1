"""What chapter 8 measures about batches and learning rates, kept between runs of its page."""

import streamlit as st

from gptcore.runs import lab_jobs
from gptcore.runs.worker_pool import Job
from gptcore.training.gradient_noise import GradientAgreement, accumulation_error, gradient_agreements
from pages.kit import story_data
from pages.kit.models import ModelHandle


@st.cache_resource(max_entries=4, show_spinner=False)
def sweep(optimizer: str) -> Job:
    """A sweep of learning rates, one for all visitors: each rate tried is a report. The first call starts it."""
    return lab_jobs.submit_rate_finder(optimizer)


def stop_sweep(optimizer: str) -> None:
    """End a sweep; what it has tried stays. For callbacks."""
    sweep(optimizer).cancel()


def forget_sweep(optimizer: str) -> None:
    """Forget a sweep, so that the next call starts it again. For callbacks."""
    sweep.clear(optimizer)


BATCH_SIZES = (1, 2, 4, 8, 16)
BATCH_DRAWS = 3
BATCH_LENGTH = 32  # tokens of a window: what is said of batches holds for long ones, and takes longer


@st.cache_data(max_entries=2, show_spinner="Taking gradients of a few batches")
def batch_agreements(handle: ModelHandle) -> list[GradientAgreement]:
    """How well the gradient of a few windows points where that of 64 others does, for batches of each size."""
    model, tokenizer = handle.load()
    windows = story_data.held_out_windows(tokenizer, BATCH_LENGTH, BATCH_DRAWS * sum(BATCH_SIZES) + 64, 60)
    return list(gradient_agreements(model, *windows, BATCH_SIZES, BATCH_DRAWS))


@st.cache_data(max_entries=16, show_spinner=False)
def batch_in_parts(handle: ModelHandle, parts: int) -> tuple[float, float]:
    """What reading a batch of 16 windows in parts does to its gradient, and what forgetting to divide does."""
    model, tokenizer = handle.load()
    return accumulation_error(model, *story_data.held_out_windows(tokenizer, BATCH_LENGTH, 16), parts)
