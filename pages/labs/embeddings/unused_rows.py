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
FIRST = 200  # number of the unused token that is shown first
TABLES = ("untied", "tied")


@st.fragment
def unused_rows() -> None:
    """Rows that are never looked up: in the model in use, and in one trained here."""
    text = words.load("03_embeddings")
    with lab.frame("c3_unused", text.read("lab_unused_title")):
        model = storyteller()
        session.caption_other_model(model)
        tokenizer, config = model.tokenizer, model.config
        collapsed = cached.coinciding_tokens(model)
        seen = cached.seen_in_stories(model)
        initial = initialization.initial_model(model)
        multi_byte = [token for token in collapsed if token >= 256]
        candidates = multi_byte or list(collapsed)
        text.show("lab_unused", n=len(collapsed), tied="tied" if config.tie_embeddings else "untied")
        number = controls.integer(
            text.read("lab_unused_pick"),
            "c3_unused_at",
            Dial("", 1, max(2, len(candidates)), 1, ""),
            min(FIRST, len(candidates)),
        )
        token = candidates[min(number, len(candidates)) - 1]
        longer_tokens = _containing_tokens(token, tokenizer, seen)
        other = candidates[min(number, len(candidates)) % len(candidates)]
        cosine = row_cosine(model.model, token, other)
        text.show(
            "lab_unused_says",
            token=code_span(tokenizer.token_text(token)),
            id=token,
            other=code_span(tokenizer.token_text(other)),
            cosine=cosine,
            born=float("nan") if initial is None else row_cosine(initial, token, other),
            swallowed=longer_tokens or text.read("lab_unused_bytes"),
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
        _train_and_compare(collapsed, text)


def row_cosine(model, token: int, other: int) -> float:
    """The cosine of two rows of a model's embedding matrix."""
    table = model.embedding.weight.detach()
    return float(cosines(table[[token]], table[[other]]))


def _containing_tokens(token: int, tokenizer, seen) -> str:
    """The used tokens that contain this one: those merged from it by one or more merges."""
    containing, used = {token}, []
    for merge in tokenizer.merges:
        if merge.left in containing or merge.right in containing:
            containing.add(merge.id)
            if merge.id in seen:
                used.append(merge.id)
    return code_spans(used[:3], tokenizer)


def _train_and_compare(collapsed: list[int], text: words.Words) -> None:
    """Train a model with tied or untied embeddings, with or without weight decay, and compare its rows."""
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
    initial = initialization.initial_model(trained)
    if initial is None:
        return
    unused = [token for token in collapsed if token < len(now)]
    drift = embedding_table.drift(initial.embedding.weight.detach(), now, unused)
    text.show(
        "lab_unused_ran",
        table="tied" if run.config()["model"]["tie_embeddings"] else "untied",
        still=drift.n_still,
        v=len(now),
        unread=len(unused),
        among=drift.n_unread_still,
        alike=drift.unread_cosine,
    )
    picture = plots.columns(
        (text.read("lab_unused_never"), text.read("lab_unused_rest")),
        {"moved": [drift.unread, drift.rest]},
        y_title=text.read("lab_unused_chart"),
        height=230,
        revision="unused",
    )
    figures.show(picture, key="c3_unused_far")


def request_for(table: str, decay: bool) -> RunRequest:
    """The run with tied or untied embeddings, with or without weight decay."""
    settings = {"tie_embeddings": table == "tied", "weight_decay": 0.1 if decay else 0.0}
    return lab_runs.lab_request(settings, seconds=SECONDS, seed=3, n_samples=1, n_evals=3)
