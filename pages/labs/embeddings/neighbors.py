"""Chapter 3: the nearest rows of a word in the embedding matrix."""

import streamlit as st

from gptcore.interpret import embedding_table
from pages.kit import chips, controls, figures, lab, plots, prompt, session, words
from pages.kit.pronoun_story import storyteller
from pages.kit.token_text import code_spans
from pages.labs.embeddings.word_map import tables_by_moment, token_of

SHOWN = 8


@st.fragment
def neighbors() -> None:
    """The rows nearest to that of one word, at initialization and now."""
    text = words.load("03_embeddings")
    with lab.frame("c3_near", text.read("lab_near_title")):
        text.show("lab_near")
        model = storyteller()
        session.caption_other_model(model)
        tables = tables_by_moment(model)
        left, right = st.columns([3, 2], gap="large", vertical_alignment="bottom")
        with left:
            typed = prompt.text_input(
                text.read("lab_near_word"),
                "c3_near_word",
                "queen",
                ("queen", "red", "ran", "river", "she", "Mira"),
            ).strip()
        with right:
            moment = controls.dropdown(
                text.read("lab_near_moment"), "c3_near_at", list(tables), default="trained"
            )
        token = token_of(typed, model.tokenizer) if typed else None
        if token is None:
            _no_single_row(typed, model.tokenizer, text)
        else:
            best = embedding_table.nearest(tables[moment], tables[moment][token], SHOWN, without=[token])
            token_text = model.tokenizer.token_text
            similarity_bars([(token_text(i), cosine) for i, cosine in best], "c3_near_bars", "near")
            text.show(
                "lab_near_says",
                word=typed,
                best=chips.visible(model.tokenizer.token_text(best[0][0])).strip("␣"),
                cosine=best[0][1],
                moment=moment,
            )
        trained = tables["trained"]
        red, green, apple = (token_of(word, model.tokenizer) for word in ("red", "green", "apple"))
        if None in (red, green, apple):
            return
        to_green, to_apple = embedding_table.cosines(trained[[red]], trained[[green, apple]])[0].tolist()
        lab.predict(
            "c3_near",
            text.read("lab_near_predict"),
            (text.read("lab_near_predict_apple"), text.read("lab_near_predict_green")),
            right=1 if to_green > to_apple else 0,
            because=text.read("lab_near_predict_because", green=to_green, apple=to_apple),
            then={"c3_near_word": "red", "c3_near_at": "trained"},
        )


def _no_single_row(typed: str, tokenizer, text: words.Words) -> None:
    if not typed:
        st.info(text.read("lab_near_empty"), icon=":material/info:")
    else:
        ids = tokenizer.encode(f" {typed}")[:12]
        st.info(
            text.read("lab_near_pieces", n=len(ids), parts=code_spans(ids, tokenizer)), icon=":material/info:"
        )


def similarity_bars(
    best: list[tuple[str, float]], key: str, revision: str, wanted: str | None = None
) -> None:
    """Tokens with their cosines as columns; the wanted token is orange."""
    names = [chips.visible(name) for name, _ in best]
    picture = plots.columns(
        names,
        {"cosine": [cosine for _, cosine in best]},
        y_title="cosine",
        form=".2f",
        height=270,
        revision=revision,
    )
    colors = [figures.ORANGE if name == wanted else figures.BLUE for name in names]
    picture.figure.update_traces(marker={"color": colors})
    picture.figure.update_yaxes(range=[min(0.0, *(c for _, c in best)), 1.15])
    figures.show(picture, key=key)
