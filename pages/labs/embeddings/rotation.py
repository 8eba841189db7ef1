"""Chapter 3: a rotated residual stream; its columns change and the output does not."""

import streamlit as st

from gptcore.interpret import embedding_table
from pages.kit import controls, session, words
from pages.kit.controls import Dial
from pages.kit.pronoun_story import storyteller
from pages.kit.token_text import code_span
from pages.labs.embeddings import cached
from pages.labs.embeddings.unused_rows import row_cosine

TOP = 6  # tokens shown per dimension


@st.fragment
def rotated_table() -> None:
    """Rotate the whole residual stream at random: the columns change, the output does not."""
    text = words.load("03_embeddings")
    text.show("lab_turn")
    model = storyteller()
    session.caption_other_model(model)
    config, tokenizer = model.config, model.tokenizer
    if not embedding_table.can_rotate(config):
        st.info(text.read("lab_turn_cannot"), icon=":material/info:")
        return
    left, right = st.columns(2, gap="large")
    with left:
        column = controls.integer(
            text.read("lab_turn_column"), "c3_turn_column", Dial("", 0, config.d_model - 1, 1, ""), 17
        )
    with right:
        seed = controls.integer(text.read("lab_turn_seed"), "c3_turn_seed", Dial("", 1, 20, 1, ""), 1)
    rotated_model = cached.rotated(model, seed)
    seen = sorted(cached.seen_in_stories(model))
    word_ids = [token for token in seen if tokenizer.token_text(token)[1:].isalpha()]
    for side, title, shown_model in (
        (left, text.read("lab_turn_before", column=column), model.model),
        (right, text.read("lab_turn_after", column=column), rotated_model),
    ):
        with side:
            st.markdown(f"**{title}**")
            lines = ["| token | number |", "| --- | --- |"]
            lines += [
                f"| {code_span(tokenizer.token_text(token))} | {value:.2f} |"
                for token, value in embedding_table.largest_in_column(
                    shown_model.embedding.weight.detach(), column, word_ids, TOP
                )
            ]
            st.markdown("\n".join(lines))
    king, queen = (tokenizer.encode(word)[0] for word in (" king", " queen"))
    before, after = (row_cosine(shown_model, king, queen) for shown_model in (model.model, rotated_model))
    text.show(
        "lab_turn_says",
        column=column,
        chance=embedding_table.largest_difference(
            model.model, rotated_model, tokenizer.encode("Once upon a time there was a queen")
        ),
        before=before,
        after=after,
    )
