"""Cached results of chapter 10's experiments with the shipped model."""

import inspect

import streamlit as st
import torch

from gptcore.experiments.measurements import script
from gptcore.lessons.exercises import _own_gpt, gpt
from gptcore.model import GPT
from gptcore.runs import lab_jobs
from gptcore.runs.worker_pool import Job
from pages.kit import models, story_data

# Held-out text of the loss under other configs: enough for the loss that chapter 8 shows at the end of the run.
WINDOWS, STORIES = 32, 160


@st.cache_data(max_entries=1, show_spinner="Comparing the two models")
def own_class_differences() -> tuple[int, list[tuple[str, float]]]:
    """The number of lines of the capstone's class, and each tensor's difference from ours, with the shipped weights."""
    model, tokenizer = models.shipped().load()
    ids = torch.tensor([tokenizer.encode(gpt.TEXTS[0])])
    return len(inspect.getsource(_own_gpt).splitlines()), gpt.differences(gpt.EXERCISE.solution, model, ids)


@st.cache_data(max_entries=16, show_spinner="Computing the loss on held-out stories")
def loss_misread(name: str) -> float:
    """The loss of the shipped weights with one of the configs that their shapes fit."""
    model, tokenizer = models.shipped().load()
    ids, targets = story_data.held_out_windows(tokenizer, model.config.context_length, WINDOWS, STORIES)
    return script.loss_misread(model, script.MISREADINGS[name], ids, targets)


@st.cache_data(max_entries=64, show_spinner=False)
def generated_twice(prompt: str, seed: int, n_tokens: int) -> tuple[list[str], list[str], int | None]:
    """The tokens generated with the original and with the rounded weights, and the first position that differs."""
    model, tokenizer = models.shipped().load()
    ids = [
        script.generated_ids(variant, tokenizer, prompt, seed=seed, n_tokens=n_tokens)
        for variant in (model, _rounded())
    ]
    texts = [[tokenizer.token_text(token) for token in sequence] for sequence in ids]
    return texts[0], texts[1], script.divergence_position(*ids)


@st.cache_resource(max_entries=1, show_spinner=False)
def _rounded() -> GPT:
    return script.rounded(models.shipped().model)


@st.cache_resource(max_entries=2, show_spinner=False)
def tuning(steps: int) -> Job:
    """A short fine-tuning run, shared by all visitors. The first call starts it."""
    return lab_jobs.submit_finetune(steps)
