"""Stories that no model has been trained on, the tokenizer of the story world, and the scores of its tables."""

from collections.abc import Mapping
from typing import Any

import streamlit as st
from torch import Tensor

from gptcore import tokenizer
from gptcore.corpora.encoding import encode_documents
from gptcore.corpora.sources import N_STORIES
from gptcore.corpora.windows import fixed_batches
from gptcore.runs import lab_jobs
from gptcore.runs.worker_pool import Job
from gptcore.stories.shipped_scores import shipped_table_scores
from gptcore.stories.writer import write_stories
from gptcore.tokenizer import Tokenizer


@st.cache_resource(max_entries=1, show_spinner=False)
def story_tokenizer() -> Tokenizer:
    """The tokenizer of the story world."""
    return tokenizer.story_tokenizer()


@st.cache_data(max_entries=4, show_spinner=False)
def fresh_stories(n: int) -> tuple[str, ...]:
    """Stories that no model has read: drawn after those of the corpus."""
    return tuple(story.text for story in write_stories(n, seed=N_STORIES))


def held_out_windows(
    tokenizer: Tokenizer, length: int, n: int = 2, n_stories: int = 12
) -> tuple[Tensor, Tensor]:
    """`n` windows of stories that no training run has read: inputs and targets."""
    texts = [story.text for story in write_stories(n_stories, seed=900_000)]
    return fixed_batches(encode_documents(texts, tokenizer), length, n, 1)[0]


@st.cache_resource(max_entries=1, show_spinner=False)
def _scoring() -> Job:
    return lab_jobs.submit_table_scores()


def table_scores() -> dict[int, Mapping[str, Any]] | None:
    """The four story scores that 3-, 5- and 7-gram tables reach: the shipped ones, where they fit the stories.

    Otherwise they are measured in the background: None until then, empty if that failed.
    """
    if shipped := shipped_table_scores():
        return {order: scores.to_dict() for order, scores in shipped.items()}
    job = _scoring()
    if not job.is_done():
        return None
    return {} if job.error() else {int(order): scores for order, scores in job.result().items()}
