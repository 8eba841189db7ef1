"""Chapter 2: streaming decoding, which holds back the bytes of incomplete characters."""

import streamlit as st

from gptcore.lessons.bpe_steps import streamed_text
from pages.kit import prompt, story_data, words
from pages.kit.token_text import table_cell


@st.fragment
def half_an_emoji() -> None:
    """A stream of tokens: each decoded alone, and with the bytes of incomplete characters held back."""
    text = words.load("02_tokens")
    text.show("lab_stream")
    tokenizer = story_data.story_tokenizer()
    typed = prompt.text_input(text.read("lab_stream_text"), "c2_stream_text", "A café, 🐢!")
    ids = tokenizer.encode(typed)[:40]
    alone, held = streamed_text(tokenizer.token_bytes(token) for token in ids)
    lines = ["| token | bytes | decoded alone | held back until complete |", "| --- | --- | --- | --- |"]
    for token, broken, whole in zip(ids, alone, held):
        data = " ".join(f"{byte:02X}" for byte in tokenizer.token_bytes(token))
        lines.append(f"| {token} | {data} | {table_cell(broken)} | {table_cell(whole) if whole else ''} |")
    if ids:
        st.markdown("\n".join(lines))
    text.show("lab_stream_says", broken=sum("\ufffd" in shown for shown in alone), n=len(ids))
