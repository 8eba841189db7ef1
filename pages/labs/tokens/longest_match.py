"""Chapter 2: BPE's order of merges compared with greedy longest match."""

import streamlit as st

from gptcore.lessons import bpe_steps
from pages.kit import prompt, story_data, words
from pages.kit.token_text import code_spans, table_cell

MOST_PRE_TOKENS = 12


@st.fragment
def longest_match() -> None:
    """The same words encoded with the earliest merge first, as BPE does, and with the longest token first."""
    text = words.load("02_tokens")
    text.show("lab_longest")
    tokenizer = story_data.story_tokenizer()
    typed = prompt.text_input(text.read("lab_longest_text"), "c2_longest_text", "one endless human kindness")
    lines = ["| pre-token | BPE merges | longest match | result |", "| --- | --- | --- | --- |"]
    n_different = 0
    pre_tokens = list(dict.fromkeys(tokenizer.pieces(typed)))[:MOST_PRE_TOKENS]
    for pre_token in pre_tokens:
        bpe_ids, greedy_ids = (
            tokenizer.encode_slowly(pre_token),
            bpe_steps.longest_match(pre_token, tokenizer),
        )
        n_different += bpe_ids != greedy_ids
        row = (
            table_cell(pre_token),
            code_spans(bpe_ids, tokenizer).replace("|", r"\|"),
            code_spans(greedy_ids, tokenizer).replace("|", r"\|"),
        )
        lines.append(f"| {' | '.join(row)} | {'same' if bpe_ids == greedy_ids else 'differs'} |")
    if pre_tokens:
        st.markdown("\n".join(lines))
    text.show("lab_longest_says", differ=n_different, n=len(pre_tokens))
