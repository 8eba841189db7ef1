"""Chapter 3: arithmetic with rows of the embedding matrix, king − man + woman."""

import streamlit as st

from gptcore.interpret import embedding_table
from gptcore.stories import lexicon
from gptcore.tokenizer import Tokenizer
from pages.kit import chips, controls, escape, lab, session, words
from pages.kit.pronoun_story import storyteller
from pages.labs.embeddings import cached
from pages.labs.embeddings.neighbors import SHOWN, similarity_bars
from pages.labs.embeddings.word_map import token_of


def known_pairs(tokenizer: Tokenizer) -> dict[str, tuple[int, int]]:
    """The male and female pairs of the story world whose words are one token each: `king → queen`."""
    all_pairs = (
        lexicon.ROYAL_PAIRS
        + lexicon.FOLK_PAIRS
        + lexicon.CHILD_PAIRS
        + lexicon.ELDER_KIN_PAIRS
        + lexicon.SIBLING_PAIRS
        + lexicon.FAMILY_PAIRS
    )
    known = {}
    for pair in all_pairs:
        male, female = (token_of(word, tokenizer) for word in pair.split("/"))
        if male is not None and female is not None:
            known[pair.replace("/", " → ")] = (male, female)
    return known


@st.fragment
def analogies() -> None:
    """king − man + woman, with the rank of the answer with and without the input words."""
    text = words.load("03_embeddings")
    with lab.frame("c3_sum", text.read("lab_sum_title")):
        text.show("lab_sum")
        model = storyteller()
        session.caption_other_model(model)
        table, tokenizer = model.model.embedding.weight.detach(), model.tokenizer
        known = known_pairs(tokenizer)
        if len(known) < 2:
            st.info(text.read("lab_sum_unknown"), icon=":material/info:")
            return
        names = list(known)
        left, middle, right = st.columns([2, 2, 2], gap="medium", vertical_alignment="bottom")
        with left:
            chosen = controls.dropdown(text.read("lab_sum_asked"), "c3_sum_asked", names, default=names[0])
        with middle:
            man = "man → woman" if "man → woman" in names else names[1]
            direction = controls.dropdown(text.read("lab_sum_by"), "c3_sum_by", names, default=man)
        with right:
            inputs_allowed = controls.switch(text.read("lab_sum_inputs"), "c3_sum_inputs", False)
        (a, wanted), (b, c) = known[chosen], known[direction]
        if chosen == direction:
            st.info(text.read("lab_sum_same"), icon=":material/info:")
            return
        answer = embedding_table.analogy(table, a, b, c, wanted, most=SHOWN)
        name = {token: plain_word(token, tokenizer) for token in (a, b, c, wanted, answer.best[0][0])}
        heading = escape.markdown(f"{name[a]} − {name[b]} + {name[c]} = ?")
        st.markdown(f"#### {heading}", anchors=False)
        best = answer.best if inputs_allowed else answer.best_without_inputs
        similarity_bars(
            [(tokenizer.token_text(token), cosine) for token, cosine in best],
            "c3_sum_bars",
            "analogy",
            chips.visible(tokenizer.token_text(wanted)),
        )
        text.show(
            "lab_sum_says",
            wanted=name[wanted],
            rank=answer.rank_without_inputs,
            inputs=answer.rank,
            plain=answer.rank_without_arithmetic,
            c=name[c],
            v=len(table),
        )
        fair, naive, lazy, n = cached.analogy_scores(model, tuple(known.values()))
        text.show("lab_sum_all", n=n, fair=fair, naive=naive, lazy=lazy)
        winner = answer.best[0][0]
        lab.predict(
            "c3_sum",
            text.read("lab_sum_predict"),
            (
                text.read("lab_sum_predict_queen", wanted=name[wanted]),
                text.read("lab_sum_predict_input"),
                text.read("lab_sum_predict_other"),
            ),
            right=0 if winner == wanted else 1 if winner in (a, b, c) else 2,
            because=text.read("lab_sum_predict_because", winner=name[winner], naive=naive, fair=fair, n=n),
            then={"c3_sum_inputs": True},
        )


def plain_word(token: int, tokenizer: Tokenizer) -> str:
    """A token's text without the space before it."""
    return chips.visible(tokenizer.token_text(token)).strip("␣")
