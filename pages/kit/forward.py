"""Forward passes of a model, cached: traces of a text, continuations, and what follows from both."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st
from torch import Tensor

from gptcore.generation.sampling import generate
from gptcore.interpret import heads, logit_lens
from gptcore.interpret.logit_lens import Reading
from gptcore.tracing import trace
from pages.kit.models import ModelHandle


@st.cache_data(max_entries=64, show_spinner=False)
def continuation(
    handle: ModelHandle,
    prompt: str,
    n_new: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    n_alternatives: int = 5,
) -> list[tuple[str, list[tuple[str, float]]]]:
    """What a model writes after a prompt: each token's text, and the most probable tokens with their
    probabilities."""
    model, tokenizer = handle.load()
    ids = tokenizer.encode_prompt(prompt)
    steps = generate(
        model,
        ids,
        n_new,
        temperature=temperature,
        seed=seed,
        stop_ids=tokenizer.stop_ids,
        n_alternatives=n_alternatives,
    )
    return [
        (tokenizer.token_text(step.token_id), [(tokenizer.token_text(i), p) for i, p in step.alternatives])
        for step in steps
    ]


@st.cache_data(max_entries=64, show_spinner=False)
def next_token_probabilities(handle: ModelHandle, prompt: str, tokens: tuple[str, ...]) -> list[float]:
    """The probability a model gives each of these tokens to come next; 0 for a text that is not a token."""
    model, tokenizer = handle.load()
    ids = tokenizer.encode_prompt(prompt)
    step = next(generate(model, ids, 1, temperature=0.0, n_alternatives=model.config.vocab_size))
    probability = dict(step.alternatives)
    return [probability[ids[0]] if len(ids := tokenizer.encode(token)) == 1 else 0.0 for token in tokens]


@dataclass(frozen=True, slots=True)
class Traced:
    """One text through one model: its tokens, and every tensor of the pass by name."""

    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    seen: Mapping[str, Tensor]


@st.cache_resource(max_entries=16, show_spinner=False)
def traced(handle: ModelHandle, text: str) -> Traced:
    """The trace of a text, shared and read-only; raises ValueError for more tokens than the context holds."""
    model, tokenizer = handle.load()
    ids = tokenizer.encode_prompt(text)
    return Traced(tuple(ids), tuple(map(tokenizer.token_text, ids)), trace(model, ids))


@st.cache_data(max_entries=16, show_spinner=False)
def layer_readings(handle: ModelHandle, text: str) -> list[Reading]:
    """What each layer of a model would say at every token of a text."""
    return logit_lens.readings(handle.model, dict(traced(handle, text).seen))


@st.cache_data(max_entries=4, show_spinner=False)
def induction_scores_by_period(handle: ModelHandle) -> dict[int, list[list[float]]]:
    """How much each head attends to what followed the last time, by number of repeated tokens, then by layer."""
    return {period: scores.tolist() for period, scores in heads.induction_by_period(handle.model).items()}


def induction_scores(handle: ModelHandle) -> list[list[float]]:
    """The mean of them over the numbers of repeated tokens, layer by layer."""
    by_period = induction_scores_by_period(handle).values()
    return [[sum(scores) / len(scores) for scores in zip(*rows)] for rows in zip(*by_period)]
