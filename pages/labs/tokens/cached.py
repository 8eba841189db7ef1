"""Tokenizers and token counts of chapter 2, kept between runs of its page."""

import threading

import streamlit as st

from gptcore.tokenizer import Tokenizer, TokenizerError, load_tiktoken
from pages.kit import story_data


class Fetched:
    """GPT-2's vocabulary, downloaded by a separate thread: `tokenizer` when it is done, `problem` if it failed."""

    def __init__(self) -> None:
        self.tokenizer: Tokenizer | None = None
        self.problem: str | None = None
        self.thread = threading.Thread(target=self._fetch, daemon=True, name="gpt2-vocabulary")
        self.thread.start()

    def _fetch(self) -> None:
        try:
            self.tokenizer = load_tiktoken("gpt2")
        except TokenizerError as error:
            self.problem = str(error)


@st.cache_resource(max_entries=1, show_spinner=False, ttl=900)
def gpt2() -> Fetched:
    """GPT-2's vocabulary; requested again after 15 minutes, in case the network is back."""
    return Fetched()


@st.cache_resource(max_entries=16, show_spinner=False)
def trained_tokenizer(text: str, n_merges: int, *, min_frequency: int = 2) -> Tokenizer:
    """A tokenizer trained on a text, with at most `n_merges` merges; fewer if the text has no more."""
    return Tokenizer.train(text, 256 + n_merges, special_tokens=(), min_frequency=min_frequency, shrink=True)


@st.cache_data(max_entries=16, show_spinner=False)
def tokens_after(text: str, n_merges: int, stops: tuple[int, ...]) -> list[int]:
    """The number of tokens of a text after each number of merges in `stops`, learned from the same text."""
    tokenizer = trained_tokenizer(text, n_merges)
    return [len(tokenizer.first(stop).encode_slowly(text)) for stop in stops]


@st.cache_data(max_entries=4, show_spinner=False)
def story_costs(sizes: tuple[int, ...], n_stories: int = 40) -> tuple[int, list[int]]:
    """The bytes of some held-out stories, and their tokens under the story tokenizer reduced to each size."""
    full = story_data.story_tokenizer()
    text = "\n".join(story_data.fresh_stories(n_stories))
    counts = [len(full.first(size - 257).encode_slowly(text)) for size in sizes]
    return len(text.encode()), counts
