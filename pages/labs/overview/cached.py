"""Words counted in stories for chapter 0, kept between runs of its page."""

import streamlit as st

from gptcore.experiments.measurements.overview import next_word_frequencies
from gptcore.stories.scores import WordTable
from gptcore.stories.writer import write_stories


@st.cache_resource(max_entries=1, show_spinner="Counting the words of some stories")
def _counted_words() -> WordTable:
    return WordTable([story.text for story in write_stories(1000)])


@st.cache_data(max_entries=256, show_spinner=False)
def following_words(word: str) -> dict[str, float]:
    """The words that follow this one in a thousand stories, with their relative frequencies."""
    return next_word_frequencies(_counted_words(), (word,))
