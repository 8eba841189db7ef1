"""Chapter 2: one text under several tokenizers."""

import streamlit as st

from gptcore.lessons.bpe_steps import cost
from gptcore.tokenizer import Tokenizer
from pages.kit import chips, dim_colors, lab, models, prompt, session, story_data, words
from pages.kit.token_text import MOST_CHIPS, byte_chips, table_cell
from pages.labs.tokens import cached

EXAMPLES = (
    "The queen's golden ring fell into the river.",
    "Hello 🐢 from café Zürich",
    "for i in range(10):\n    total += x[i]".replace("\n", " "),
    "3 + 14 = 17, and 1234567 is a number",
    "cat  cat   Cat CAT concat",
)


def compared_tokenizers() -> dict[str, Tokenizer]:
    """The tokenizers to compare, by name; GPT-2's if it is available."""
    story_tokenizer = story_data.story_tokenizer()
    tokenizers = {"bytes": story_tokenizer.first(0), "stories": story_tokenizer}
    model = session.model_in_use()
    if model.name != models.SHIPPED and model.tokenizer.ranks != story_tokenizer.ranks:
        tokenizers["your model"] = model.tokenizer
    if (gpt2_tokenizer := cached.gpt2().tokenizer) is not None:
        tokenizers["GPT-2"] = gpt2_tokenizer
    return tokenizers


def about_gpt2(text: words.Words) -> None:
    """One sentence if GPT-2's vocabulary is not available."""
    fetched = cached.gpt2()
    if fetched.tokenizer is None:
        st.caption(text.read("lab_same_no_gpt2" if fetched.problem else "lab_same_gpt2_comes"))


@st.fragment
def same_text() -> None:
    """The same text in bytes, under the story tokenizer and under GPT-2's."""
    text = words.load("02_tokens")
    with lab.frame("c2_same", text.read("lab_same_title")):
        text.show("lab_same")
        typed = prompt.text_input(text.read("lab_same_text"), "c2_same_text", EXAMPLES[1], EXAMPLES)
        tokenizers = compared_tokenizers()
        lines = [
            f"| tokenizer | {dim_colors.chip('V')} | {dim_colors.chip('T')} | bytes per token |",
            "| --- | --- | --- | --- |",
        ]
        for name, tokenizer in tokenizers.items():
            token_cost = cost(typed, tokenizer)
            lines.append(
                f"| {name} | {tokenizer.vocab_size:,} | {token_cost.n_tokens} | {token_cost.bytes_per_token:.2f} |"
            )
        st.markdown("\n".join(lines))
        about_gpt2(text)
        for name, tokenizer in tokenizers.items():
            ids = tokenizer.encode(typed)
            st.markdown(f"**{name}**, {len(ids)} tokens")
            chips.strip(
                byte_chips(ids[:MOST_CHIPS], tokenizer),
                key=f"c2_same_{name.replace(' ', '_').replace('-', '')}",
                label=f"The text as tokens: {name}",
            )
            if len(ids) > MOST_CHIPS:
                st.caption(f"The first {MOST_CHIPS} of {len(ids)}.")
        story_tokenizer = story_data.story_tokenizer()
        n_turtle, n_lowercase, n_capitals = (
            len(story_tokenizer.encode(word)) for word in ("🐢", " queen", " QUEEN")
        )
        lab.predict(
            "c2_same",
            text.read("lab_same_predict", small=n_lowercase),
            (
                text.read("lab_same_predict_one"),
                text.read("lab_same_predict_many"),
                text.read("lab_same_predict_unknown"),
            ),
            right=0 if n_capitals == 1 else 1,
            because=text.read("lab_same_predict_because", large=n_capitals, turtle=n_turtle),
            then={"c2_same_text": "the queen, the QUEEN and a 🐢"},
        )
        left, right = st.columns([3, 2], gap="large")
        with left:
            text.show("lab_same_says")
        with right:
            _spellings(text)


def _spellings(text: words.Words) -> None:
    """One word with a space before it, without one, and with a capital letter: different ids, different rows."""
    story_tokenizer = story_data.story_tokenizer()
    lines = ["| written | ids | tokens |", "| --- | --- | --- |"]
    for word in (" cat", "cat", " Cat"):
        ids = story_tokenizer.encode(word)
        shown = " ".join(table_cell(story_tokenizer.token_text(token)) for token in ids)
        lines.append(f"| {table_cell(word)} | {', '.join(map(str, ids))} | {shown} |")
    st.markdown("\n".join(lines))
    text.show("lab_same_twins")
