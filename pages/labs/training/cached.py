"""What chapter 8 measures about batches and learning rates, kept between runs of its page."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from gptcore.training.gradient_noise import GradientAgreement, accumulation_error, gradient_agreements
from pages.kit import story_data
from pages.kit.models import ModelHandle

_SWEEP = """
import dataclasses, json, os
import torch
from gptcore.training.rate_finder import on_stories
os.nice(5)
torch.set_num_threads(1)
for tried in on_stories({optimizer!r}):
    print(json.dumps(dataclasses.asdict(tried)), flush=True)
"""


@st.cache_resource(max_entries=4, show_spinner=False)
def _sweeping(optimizer: str) -> tuple[subprocess.Popen, list[Mapping[str, float]]]:
    # One for all visitors, in a process of its own; what it says is put into the list while it comes.
    process = subprocess.Popen(
        [sys.executable, "-c", _SWEEP.format(optimizer=optimizer)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    tried: list[Mapping[str, float]] = []

    def listen() -> None:
        for line in process.stdout:
            tried.append(json.loads(line))

    threading.Thread(target=listen, daemon=True).start()
    return process, tried


def swept(optimizer: str) -> tuple[list[Mapping[str, float]], bool]:
    """What a sweep of learning rates has tried so far, and whether it goes on. The first call starts it."""
    process, tried = _sweeping(optimizer)
    return list(tried), process.poll() is None


def stop_sweep(optimizer: str) -> None:
    """End a sweep; what it has tried stays. For callbacks."""
    _sweeping(optimizer)[0].terminate()


def sweep_again(optimizer: str) -> None:
    """Forget a sweep, so that the next look starts it anew. For callbacks."""
    _sweeping.clear(optimizer)


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
