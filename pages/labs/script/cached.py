"""What chapter 10 does with the shipped model, kept between runs of its page."""

import inspect

import streamlit as st
import torch

from gptcore.experiments.measurements import script
from gptcore.lessons.exercises import _own_gpt, gpt
from gptcore.model import GPT
from gptcore.runs import lab_jobs
from gptcore.runs.worker_pool import Job
from pages.kit import models, story_data


@st.cache_data(max_entries=1, show_spinner="Reading with another's code")
def own_class_differences() -> tuple[int, list[tuple[str, float]]]:
    """The lines of the capstone's class, and how far each of its tensors is from ours, with the shipped weights."""
    model, tokenizer = models.shipped().load()
    ids = torch.tensor([tokenizer.encode(gpt.TEXTS[0])])
    return len(inspect.getsource(_own_gpt).splitlines()), gpt.differences(gpt.EXERCISE.solution, model, ids)


@st.cache_data(max_entries=16, show_spinner="Reading a few stories")
def loss_misread(name: str) -> float:
    """The loss of the shipped weights under a config they fit into and were not trained for."""
    model, tokenizer = models.shipped().load()
    ids, targets = story_data.held_out_windows(tokenizer, 128)
    with torch.inference_mode():
        return float(script.misread(model, script.MISREADINGS[name]).loss(ids, targets))


@st.cache_data(max_entries=64, show_spinner=False)
def written_twice(prompt: str, seed: int, n_tokens: int) -> tuple[list[str], list[str], int | None]:
    """What the shipped model writes with its weights as they are and rounded to bf16, and where the two part."""
    model, tokenizer = models.shipped().load()
    ids = [
        script.generated_ids(one, tokenizer, prompt, seed=seed, n_tokens=n_tokens)
        for one in (model, _rounded())
    ]
    texts = [[tokenizer.token_text(token) for token in one] for one in ids]
    return texts[0], texts[1], script.divergence_position(*ids)


@st.cache_resource(max_entries=1, show_spinner=False)
def _rounded() -> GPT:
    return script.rounded(models.shipped().model)


@st.cache_resource(max_entries=2, show_spinner=False)
def tuning(steps: int) -> Job:
    """A little tuning on answers, one for all visitors. The first call starts it."""
    return lab_jobs.submit_finetune(steps)
