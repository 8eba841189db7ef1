"""How much each part adds to the logit of a word."""

import streamlit as st

from gptcore.interpret.attribution import AttributionError, contributions
from pages.kit import chips, controls, figures, models, plots, words
from pages.labs.journey import cached

PARTS = {
    "embedding": "part_embedding",
    "positions": "part_positions",
    "head": "part_head",
    "attention_bias": "part_attention_bias",
    "feedforward": "part_feedforward",
    "final_norm_bias": "part_final_norm_bias",
}


def logit_attribution(
    model: models.ModelHandle, passed: cached.Journey, token: int, text: words.Words
) -> None:
    """What every part adds to the logit of a word after the token on view."""
    st.subheader(text.read("said_title"), anchor="who")
    text.show("said")
    drawn = passed.trace_map
    row = token - (len(drawn.tokens) - drawn.stages[-1].n_rows)
    if row < 0:
        st.caption(text.read("said_kept"))
        return
    terms = drawn.stages[-1].said[row]
    ids = {chips.visible(word): token_id for word, _, _, token_id in terms}
    shown = controls.dropdown(text.read("said_word"), "j_word", list(ids), default=next(iter(ids)))
    word_id = ids[shown]
    try:
        parts = contributions(model.model, dict(passed.seen), row_in(passed, row), word_id)
    except AttributionError as error:
        st.info(text.read("said_refused", reason=str(error)), icon=":material/info:")
        return
    values = [part.value for part in parts]
    labels = [component_name(part.part, part.layer, part.head, text) for part in parts]
    largest = max(range(len(values)), key=lambda i: abs(values[i]))
    logit = float(passed.seen["logits"][0, row_in(passed, row), word_id])
    text.show(
        "said_at",
        token=chips.in_sentence(drawn.tokens[token]),
        word=shown,
        logit=logit,
        n=len(values),
        differ=max(abs(sum(values) - logit), 1e-6),
        largest=labels[largest],
    )
    alt = text.read("said_alt", n=len(values), word=shown, largest=labels[largest], value=values[largest])
    picture = plots.signed(labels, values, y_title=text.read("said_axis"), alt=alt)
    figures.show(picture, key="j_said")


def row_in(passed: cached.Journey, row: int) -> int:
    """A row of the picture as a row of the trace, which has all tokens."""
    return passed.seen["logits"].shape[1] - passed.trace_map.stages[-1].n_rows + row


def component_name(part: str, layer: int | None, head: int | None, text: words.Words) -> str:
    """A part in a word or two, counted from 1."""
    name = text.read(PARTS[part])
    if head is not None:
        return f"{name} {layer + 1}.{head + 1}"
    return name if layer is None else f"{name} {layer + 1}"
