"""Chapter 3: the finding at the top, the rows of tokens that never occur."""

import streamlit as st

from gptcore.interpret import embedding_table
from pages.kit import figures, initialization, plots, session, words
from pages.kit.escape import Markdown
from pages.kit.pronoun_story import storyteller
from pages.kit.token_text import code_span
from pages.labs.embeddings import cached

MOST_POINTS = 400  # points drawn per group


def projection(table, collapsed: list[int], tokenizer, revision: str):
    """A 2-D projection of an embedding matrix: the tokens in use, and those collapsed onto one spot."""
    points = embedding_table.pca_projection(table).points.tolist()
    others = sorted(set(range(len(points))).difference(collapsed))
    other_stride = max(1, len(others) // MOST_POINTS)

    def labeled(rows) -> list[tuple[float, float, str]]:
        return [(*points[row], tokenizer.token_text(row)) for row in rows]

    collapsed_stride = max(1, len(collapsed) // MOST_POINTS)
    picture = plots.scatter(
        {"in use": labeled(others[::other_stride]), "never used": labeled(collapsed[::collapsed_stride])},
        x_title="first principal component",
        y_title="second principal component",
        height=290,
        named=False,
        revision=revision,
    )
    picture.figure.update_traces(marker={"size": 5, "opacity": 0.65})
    picture.figure.data[1].marker.size = 8
    return picture


def finding() -> None:
    """The rows of tokens that never occur: at initialization and after training."""
    text = words.load("03_embeddings")
    model = storyteller()
    session.caption_other_model(model)
    initial = initialization.initial_model(model)
    collapsed = cached.coinciding_tokens(model)
    seen = cached.seen_in_stories(model)
    table = model.model.embedding.weight.detach()
    text.show(
        "finding",
        n=len(collapsed),
        v=len(table),
        seen=len(seen.intersection(collapsed)),
        one=_three_tokens(collapsed, model.tokenizer, seen),
    )
    left, right = st.columns(2, gap="medium")
    if initial is not None:
        with left:
            st.markdown(f"**{text.read('finding_born')}**")
            picture = projection(initial.embedding.weight.detach(), collapsed, model.tokenizer, "born")
            figures.show(picture, key="c3_finding_born")
    with right:
        st.markdown(f"**{text.read('finding_now')}**")
        picture = projection(table, collapsed, model.tokenizer, "now")
        figures.show(picture, key="c3_finding_now")


def _three_tokens(collapsed: list[int], tokenizer, seen) -> Markdown:
    """Three of the tokens, those that begin with a space and letters first."""
    unseen = [token for token in collapsed if token not in seen]
    readable = [token for token in unseen if tokenizer.token_text(token).strip().isalpha()]
    longest = sorted(readable or unseen, key=lambda token: -len(tokenizer.token_text(token)))
    return Markdown(", ".join(code_span(tokenizer.token_text(token)) for token in longest[:3]))
