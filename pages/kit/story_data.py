"""Stories that no model has been trained on, the tokenizer of the story world, and the scores of its tables."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import streamlit as st
from torch import Tensor

from gptcore import tokenizer
from gptcore.corpora.encoding import encode_documents
from gptcore.corpora.sources import N_STORIES
from gptcore.corpora.windows import fixed_batches
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


def table_scores() -> dict[int, Mapping[str, Any]] | None:
    """The four story scores that 3-, 5- and 7-gram tables reach; None until they are measured."""
    measuring, answer = _measure_tables()
    if measuring.poll() is None:
        return None
    answer.seek(0)
    return {int(order): scores for order, scores in json.loads(answer.read() or "{}").items()}


_MEASURE_TABLES = """
import dataclasses, json, os
from gptcore.stories.scores import table_scores
os.nice(5)
print(json.dumps({order: dataclasses.asdict(scores) for order, scores in table_scores().items()}))
"""


@st.cache_resource(max_entries=1, show_spinner=False)
def _measure_tables() -> tuple[subprocess.Popen, IO[str]]:
    # In a process of its own: in this one it would take seconds from everybody who moves a slider. It answers
    # into a file rather than to a thread that waits, so that a server which ends need not wait either.
    answer = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - open for as long as the process
    process = subprocess.Popen(
        [sys.executable, "-c", _MEASURE_TABLES],
        stdin=subprocess.DEVNULL,
        stdout=answer,
        cwd=Path(__file__).resolve().parents[2],
    )
    return process, answer
