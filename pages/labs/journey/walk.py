"""A forward pass as a map to walk over."""

import streamlit as st

from pages.kit import chips, escape, forward, prompt, session, trace_map, words
from pages.kit.pronoun_story import beginning_that_fits
from pages.labs.journey import cached
from pages.labs.journey.attribution import logit_attribution
from pages.labs.journey.changes import Change, change_controls
from pages.labs.journey.export import export
from pages.labs.journey.panel import panel_words
from pages.labs.journey.position import position_on_view, remember_position
from pages.labs.journey.prediction import predict_without_head


@st.fragment
def walk() -> None:
    """A sentence, what if, the map, and who said the word."""
    text = words.load("journey")
    model = session.model_in_use()
    typed = prompt.text_input(
        text.read("text"), "j_text", beginning_that_fits(model), text.read("examples").splitlines()
    )
    try:
        traced = forward.traced(model, typed)
        asked = change_controls(model, traced, text)
        passed = cached.journey(model, typed, *asked)
    except ValueError as error:
        st.error(escape.sentence(f"{error}."), icon=":material/error:")
        return
    drawn, config = passed.trace_map, model.config
    text.show("can_do", stages=len(drawn.stages), values=f"{passed.n_values:,}")
    describe_change(passed, asked, text)
    stage, token, other = position_on_view(drawn)
    begin = {"stage": drawn.stages[stage].name, "token": token, "other": other}
    given = cached.journey_widget_data(model, typed, *asked, _known=panel_words(config.ffn))
    trace_map.widget({**given, "at": begin, "asked": 0}, key="j_map", on_look=remember_position)
    if drawn.before:
        text.show("folded", shown=len(drawn.tokens), all=len(passed.ids))
    text.show("reading")
    st.caption(text.read("keys"))
    predict_without_head(model, typed, text)
    export(typed, given, drawn, (stage, token, other), text)
    logit_attribution(model, passed, token, text)


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
