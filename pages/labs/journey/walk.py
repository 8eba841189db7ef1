"""A forward pass as a map to walk over."""

import streamlit as st

from pages.kit import chips, escape, forward, prompt, session, trace_map, words
from pages.kit.pronoun_story import beginning_that_fits
from pages.labs.journey import cached
from pages.labs.journey.attribution import logit_attribution
from pages.labs.journey.changes import Change, change_controls
from pages.labs.journey.panel import panel_words
from pages.labs.journey.position import Position, position_on_view, remember_position
from pages.labs.journey.prediction import predict_without_head


@st.fragment
def walk() -> None:
    """A sentence, a change to the pass, the map, and what each part adds to a logit."""
    text = words.load("journey")
    model = session.model_in_use()
    typed = prompt.text_input(
        text.read("text"), "j_text", beginning_that_fits(model), text.read("examples").splitlines()
    )
    try:
        traced = forward.traced(model, typed)
        change = change_controls(model, traced, text)
        passed = cached.journey(model, typed, *change)
    except ValueError as error:
        st.error(escape.sentence(f"{error}."), icon=":material/error:")
        return
    drawn, config = passed.trace_map, model.config
    text.show("can_do", stages=len(drawn.stages), values=f"{passed.n_values:,}")
    describe_change(passed, change, text)
    at = position_on_view(drawn)
    known = panel_words(config.ffn, typed)
    given = cached.journey_widget_data(model, typed, *change, _known=known)
    # The position only says where a new map begins: a map on the page knows its own, and is not sent again.
    begin = st.session_state.setdefault("j_begin", {})
    if begin.get("id") != given["id"]:
        begin |= {"id": given["id"], "at": begins(drawn, at)}
    trace_map.widget({**given, "at": begin["at"]}, key="j_map", on_look=remember_position)
    trace_map.send_cells(cached.cells(model, typed, *change, at.stage, at.token, at.column), key="j_cells")
    if drawn.before:
        text.show("folded", shown=len(drawn.tokens), all=len(passed.ids))
    text.show("reading")
    st.caption(text.read("keys"))
    predict_without_head(model, typed, text)
    logit_attribution(model, passed, at.token, text)


def begins(drawn: trace_map.TraceMap, at: Position) -> dict:
    """A position as the map takes it."""
    name = drawn.stages[at.stage].name
    return {"stage": name, "token": at.token, "other": at.other, "column": at.column, "zoom": at.zoom}


def describe_change(passed: cached.Journey, asked: Change, text: words.Words) -> None:
    """What a change has moved, or what the cache has spared, in one sentence of numbers."""
    drawn = passed.trace_map
    cells = sum(stage.n_rows for stage in drawn.stages)
    if asked.view == "cache":
        all_cells = len(drawn.stages) * len(drawn.tokens)
        fresh = len(drawn.stages) * drawn.fresh
        text.show(
            "cache",
            token=chips.in_sentence(drawn.tokens[-1]),
            fresh=fresh,
            kept=passed.n_kept,
            rest=all_cells - fresh - passed.n_kept,
            differ=passed.differ,
        )
    elif asked.view == "moved":
        (after, p_after), (before, p_before) = passed.says, passed.said
        text.show(
            "change",
            moved=f"{passed.n_moved:,}",
            all=f"{cells:,}",
            before=chips.in_sentence(before),
            p_before=f"{p_before:.0%}",
            after=chips.in_sentence(after),
            p_after=f"{p_after:.0%}",
        )
