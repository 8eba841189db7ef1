"""Measurements of an embedding matrix for chapter 3, cached between runs of its page."""

import streamlit as st

from gptcore.interpret import embedding_table
from gptcore.model import GPT
from gptcore.stories.writer import write_stories
from pages.kit.models import ModelHandle


@st.cache_data(max_entries=4, show_spinner="Comparing rows")
def coinciding_tokens(handle: ModelHandle) -> list[int]:
    """The tokens whose rows have collapsed onto one spot in a model's embedding matrix."""
    return embedding_table.collapsed_rows(handle.model.embedding.weight.detach())


@st.cache_data(max_entries=4, show_spinner="Reading stories")
def seen_in_stories(handle: ModelHandle, n_stories: int = 500) -> frozenset[int]:
    """The tokens that occur in some stories of the built-in world, under this model's tokenizer."""
    tokenizer = handle.tokenizer
    return frozenset(i for story in write_stories(n_stories) for i in tokenizer.encode(story.text))


@st.cache_resource(max_entries=2, show_spinner="Rotating every matrix")
def rotated(handle: ModelHandle, seed: int) -> GPT:
    """The model with its residual stream rotated at random; raises ValueError if the model cannot be rotated."""
    return embedding_table.rotated(handle.model, seed)


@st.cache_data(max_entries=4, show_spinner=False)
def analogy_scores(handle: ModelHandle, pairs: tuple[tuple[int, int], ...]) -> tuple[int, int, int, int]:
    """Of all analogies of two pairs of tokens: the number whose answer ranks first without the inputs, with them,
    and without any arithmetic; and the number of analogies."""
    table = handle.model.embedding.weight.detach()
    answers = [
        embedding_table.analogy(table, a, b, c, wanted, most=1)
        for a, wanted in pairs
        for b, c in pairs
        if (a, wanted) != (b, c)
    ]
    fair = sum(answer.rank_without_inputs == 1 for answer in answers)
    plain = sum(answer.rank_without_arithmetic == 1 for answer in answers)
    return fair, sum(answer.rank == 1 for answer in answers), plain, len(answers)
