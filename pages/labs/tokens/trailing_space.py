"""Chapter 2: a prompt with and without a space at its end."""

import streamlit as st

from pages.kit import chips, figures, forward, generation_figures, prompt, session, words
from pages.kit.token_text import byte_chips


@st.fragment
def trailing_space() -> None:
    """The next-token distribution after a prompt, and after the same prompt with a space at its end."""
    text = words.load("02_tokens")
    model = session.model_in_use()
    text.show("lab_space")
    typed = prompt.text_input(
        text.read("lab_space_text"), "c2_space_text", "Once upon a time there was a"
    ).rstrip()
    limit = model.config.context_length - 2
    if not 0 < len(model.tokenizer.encode(typed)) <= limit:
        st.info(f"Enter a text of 1 to {limit} tokens.", icon=":material/info:")
        return
    top_probabilities = []
    for column, title, prompt_text in zip(
        st.columns(2, gap="large"),
        (text.read("lab_space_without"), text.read("lab_space_with")),
        (typed, typed + " "),
    ):
        best = forward.continuation(model, prompt_text, 1)[0][1]
        ids = model.tokenizer.encode(prompt_text)
        top_probabilities.append(best[0][1])
        with column:
            st.markdown(f"**{title}**")
            chips.strip(
                byte_chips(ids[-6:], model.tokenizer),
                key=f"c2_space_{len(top_probabilities)}",
                label=f"The last tokens, {title}",
            )
            picture = generation_figures.probability_bars(
                [name for name, _ in best], [p for _, p in best], revision=title
            )
            figures.show(picture, key=f"c2_space_bars_{len(top_probabilities)}")
    continuation = forward.continuation(model, typed + " ", 8)
    text.show("lab_space_says", writes="".join(name for name, _ in continuation).strip() or "–")
