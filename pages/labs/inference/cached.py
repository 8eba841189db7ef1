"""What chapter 9 generates and times, cached between runs of the page."""

import streamlit as st

from gptcore.corpora.encoding import encode_documents
from gptcore.experiments.measurements import inference, speculative
from gptcore.experiments.measurements.inference import NextToken
from gptcore.experiments.measurements.speculative import SpeculativeTiming
from gptcore.generation.beam import Beams, beam_search
from gptcore.generation.speculative import NgramDraft, first_layers
from gptcore.model import GPT
from gptcore.stories.writer import write_stories
from pages.kit import models
from pages.kit.models import ModelHandle


@st.cache_data(max_entries=8, show_spinner=False)
def next_token_times(handle: ModelHandle) -> NextToken:
    """Milliseconds for one more token after texts of four lengths, with a cache and without."""
    model = handle.model
    context = model.config.context_length
    lengths = sorted({max(2, context * part // 16) for part in (1, 4, 8, 16)})
    return inference.next_token(model, lengths, repeats=6)


@st.cache_data(max_entries=64, show_spinner=False)
def greedy_with_shift(handle: ModelHandle, prompt: str, n_new: int, shift: int) -> list[int]:
    """Greedy tokens with a cache, the position of each new one too small by `shift`."""
    model, tokenizer = handle.load()
    ids = tokenizer.encode_prompt(prompt)[: model.config.context_length]
    return inference.greedy_from(model, ids, n_new, shift=shift)


@st.cache_data(max_entries=8, show_spinner=False)
def sentence_ends(handle: ModelHandle) -> frozenset[int]:
    """The tokens that end a sentence or a text: those whose bytes end in `.`, `?` or `!`, and the end token."""
    tokenizer = handle.tokenizer
    ends = (
        token_id
        for token_id in range(tokenizer.vocab_size)
        if tokenizer.token_bytes(token_id).rstrip(b'"\n ').endswith((b".", b"?", b"!"))
    )
    return frozenset([tokenizer.eot_id, *ends])


@st.cache_data(max_entries=64, show_spinner=False)
def beams(handle: ModelHandle, prompt: str, n_new: int, n_beams: int, length_penalty: float) -> Beams:
    """A beam search for the rest of a sentence. Raises ValueError for a prompt that cannot be continued."""
    model, tokenizer = handle.load()
    return beam_search(
        model,
        tokenizer.encode_prompt(prompt),
        n_new,
        n_beams=n_beams,
        length_penalty=length_penalty,
        stop_ids=sentence_ends(handle),
    )


DRAFTS = ("n-gram table", "half of its layers", "earlier checkpoint")
COUNTED_STORIES, COUNTED_ORDER = 300, 4


def drafts(handle: ModelHandle) -> list[str]:
    """The draft models for a target model; the last only if an earlier checkpoint was kept."""
    return [*DRAFTS[:2], *DRAFTS[2:][: len(models.snapshots(handle))]]


@st.cache_resource(max_entries=3, show_spinner=False)
def _draft(handle: ModelHandle, name: str) -> GPT | NgramDraft:
    model, tokenizer = handle.load()
    if name == DRAFTS[1]:
        return first_layers(model, max(1, model.config.n_layers // 2))
    if name == DRAFTS[2]:
        return models.snapshots(handle)[-1].handle.model
    texts = [story.text for story in write_stories(COUNTED_STORIES)]
    return NgramDraft(encode_documents(texts, tokenizer), model.config.vocab_size, COUNTED_ORDER)


@st.cache_data(max_entries=64, show_spinner=False)
def speculative_timing(
    handle: ModelHandle, prompt: str, draft: str, n_ahead: int, temperature: float, seed: int, n_new: int
) -> SpeculativeTiming:
    """One text generated with this draft model and one without, both timed."""
    model, tokenizer = handle.load()
    ids = tokenizer.encode_prompt(prompt)
    draft_model = _draft(handle, draft)
    return speculative.time_speculative(
        model, draft_model, ids, n_new, n_ahead=n_ahead, seed=seed, temperature=temperature
    )
