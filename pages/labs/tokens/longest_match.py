"""Chapter 2: the order of the merges against the longest match."""

import streamlit as st

from gptcore.lessons import bpe_steps
from pages.kit import prompt, story_data, words
from pages.kit.token_text import code_spans, table_cell

MOST_PIECES = 12


@st.fragment
def longest_match() -> None:
    """The same word by the earliest merge, as BPE does it, and by the longest token, as many believe."""
    text = words.load("02_tokens")
    text.show("lab_longest")
    tokenizer = story_data.story_tokenizer()
    typed = prompt.text_input(text.read("lab_longest_text"), "c2_longest_text", "one endless human kindness")
    lines = ["| pre-token | BPE merges | longest match | result |", "| --- | --- | --- | --- |"]
    differ = 0
    cut = list(dict.fromkeys(tokenizer.pieces(typed)))[:MOST_PIECES]
    for piece in cut:
        ours, greedy = tokenizer.encode_slowly(piece), bpe_steps.longest_match(piece, tokenizer)
        differ += ours != greedy
        row = (
            table_cell(piece),
            code_spans(ours, tokenizer).replace("|", r"\|"),
            code_spans(greedy, tokenizer).replace("|", r"\|"),
        )
        lines.append(f"| {' | '.join(row)} | {'same' if ours == greedy else 'differs'} |")
    if cut:
        st.markdown("\n".join(lines))
    text.show("lab_longest_says", differ=differ, n=len(cut))
