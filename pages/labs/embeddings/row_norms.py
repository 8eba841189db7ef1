"""Chapter 3: the norms of rows, before and after training, and after the first norm layer."""

import streamlit as st

from gptcore.interpret import embedding_table
from pages.kit import chips, figures, forward, initialization, plots, session, words
from pages.kit.pronoun_story import storyteller


@st.fragment
def row_norms() -> None:
    """The norms of rows, at initialization and after training, and the effect of scaling after the first RMSNorm."""
    text = words.load("03_embeddings")
    model = storyteller()
    session.caption_other_model(model)
    initial = initialization.initial_model(model)
    factor = model.config.d_model**0.5
    sentence = "Once upon a time there was a queen."
    traced = forward.traced(model, sentence)
    names = [chips.visible(token) for token in traced.tokens]
    ids = list(traced.ids)
    table = model.model.embedding.weight.detach()
    bars = {"trained": table[ids].norm(dim=1).tolist()}
    if initial is not None:
        bars = {"at initialization": initial.embedding.weight.detach()[ids].norm(dim=1).tolist(), **bars}
    picture = plots.columns(
        [f"{position + 1} {name}" for position, name in enumerate(names)],
        bars,
        y_title="norm of the row",
        form=".1f",
        height=270,
        revision="lengths",
    )
    text.show("lab_length", sentence=sentence)
    figures.show(picture, key="c3_lengths")
    plain, normed = embedding_table.scaled_and_normed(model.model, ids)
    text.show("lab_length_says", factor=factor, width=model.config.d_model, plain=plain, normed=normed)
