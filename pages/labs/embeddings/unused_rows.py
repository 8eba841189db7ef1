"""Chapter 3: rows of tokens that never occur, in the model in use and in one trained here."""

import streamlit as st

from gptcore.interpret import embedding_table
from gptcore.interpret.embedding_table import cosines
from gptcore.runs.request import RunRequest
from pages.kit import controls, figures, initialization, lab, lab_runs, plots, session, words
from pages.kit.controls import Dial
from pages.kit.models import ModelHandle
from pages.kit.pronoun_story import storyteller
from pages.kit.token_text import code_span, code_spans
from pages.labs.embeddings import cached

SECONDS = 10
FIRST = 200  # of the unread tokens, the one shown
TABLES = ("untied", "tied")


@st.fragment
def unused_rows() -> None:
    """What becomes of rows that are never read: in the model in use, and in one trained here."""
    text = words.load("03_embeddings")
    with lab.frame("c3_unused", text.read("lab_unused_title")):
        model = storyteller()
        session.caption_other_model(model)
        tokenizer, config = model.tokenizer, model.config
        together = cached.coinciding_tokens(model)
        seen = cached.seen_in_stories(model)
        born = initialization.initial_model(model)
        unseen = [one for one in together if one >= 256] or list(together)  # bytes are in no longer token
        text.show("lab_unused", n=len(together), tied="tied" if config.tie_embeddings else "untied")
        one = controls.integer(
            text.read("lab_unused_pick"),
            "c3_unused_at",
            Dial("", 1, max(2, len(unseen)), 1, ""),
            min(FIRST, len(unseen)),
        )
        token = unseen[min(one, len(unseen)) - 1]
        swallowed = _within(token, tokenizer, seen)
        other = unseen[min(one, len(unseen)) % len(unseen)]
        pair = row_cosine(model.model, token, other)
        text.show(
            "lab_unused_says",
            token=code_span(tokenizer.token_text(token)),
            id=token,
            other=code_span(tokenizer.token_text(other)),
            cosine=pair,
            born=float("nan") if born is None else row_cosine(born, token, other),
            swallowed=swallowed or text.read("lab_unused_bytes"),
        )
        lab.predict(
            "c3_unused",
            text.read("lab_unused_predict"),
            (
                text.read("lab_unused_predict_spot"),
                text.read("lab_unused_predict_born"),
                text.read("lab_unused_predict_anew"),
            ),
            right=1,
            because=text.read("lab_unused_predict_because"),
        )
        _train(together, text)


def row_cosine(model, token: int, other: int) -> float:
    """The cosine of two rows of a model's table."""
    table = model.embedding.weight.detach()
    return float(cosines(table[[token]], table[[other]]))


def _within(token: int, tokenizer, seen) -> str:
    """The tokens in use that have swallowed this one: those merged from it, a merge or more later."""
    swallowing, merged = {token}, []
    for merge in tokenizer.merges:
        if merge.left in swallowing or merge.right in swallowing:
            swallowing.add(merge.id)
            if merge.id in seen:
                merged.append(merge.id)
    return code_spans(merged[:3], tokenizer)


def _train(together: list[int], text: words.Words) -> None:
    """Train a model whose table is its own, or tied, with decay or without, and look at its rows."""
    left, middle, right = st.columns([2, 2, 3], gap="medium", vertical_alignment="bottom")
    with left:
        table = controls.choice(text.read("lab_unused_table"), "c3_unused_table", TABLES)
    with middle:
        decay = controls.switch(text.read("lab_unused_decay"), "c3_unused_decay", False)
    run = lab_runs.train(
        "c3_unused",
        text.read("lab_unused_train", seconds=SECONDS),
        lambda: request_for(table, decay),
        key="c3_unused_train",
        help=text.read("lab_unused_train_help"),
        column=right,
    )
    if run is None or not session.has_model(run):
        return
    trained = ModelHandle.of(run.folder)
    now = trained.model.embedding.weight.detach()
    born = initialization.initial_model(trained)
    if born is None:
        return
    unread = [token for token in together if token < len(now)]
    moved = embedding_table.drift(born.embedding.weight.detach(), now, unread)
    text.show(
        "lab_unused_ran",
        table="tied" if run.config()["model"]["tie_embeddings"] else "untied",
        still=moved.n_still,
        v=len(now),
        unread=len(unread),
        among=moved.n_unread_still,
        alike=moved.unread_cosine,
    )
    picture = plots.columns(
        (text.read("lab_unused_never"), text.read("lab_unused_rest")),
        {"moved": [moved.unread, moved.rest]},
        y_title=text.read("lab_unused_chart"),
        height=230,
        revision="unused",
    )
    figures.show(picture, key="c3_unused_far")


def request_for(table: str, decay: bool) -> RunRequest:
    """The run whose table is tied or untied, with weight decay or without."""
    settings = {"tie_embeddings": table == "tied", "weight_decay": 0.1 if decay else 0.0}
    return lab_runs.lab_request(settings, seconds=SECONDS, seed=3, n_samples=1, n_evals=3)
