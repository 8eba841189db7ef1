"""A forward pass as a map to walk over."""

import streamlit as st

from pages.kit import forward, prompt, session, trace_map, words
from pages.kit.pronoun_story import beginning_that_fits
from pages.labs.attention.heads import bare
from pages.labs.journey import cached
from pages.labs.journey.attribution import who_said_it
from pages.labs.journey.changes import Asked, ask
from pages.labs.journey.export import export
from pages.labs.journey.panel import known
from pages.labs.journey.position import looked, where
from pages.labs.journey.prediction import guess


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
        asked = ask(model, traced, text)
        passed = cached.journey(model, typed, *asked)
    except ValueError as error:
        st.error(f"{error}.", icon=":material/error:")
        return
    drawn, config = passed.trace_map, model.config
    text.show("can_do", stages=len(drawn.stages), values=f"{passed.n_values:,}")
    tell(passed, asked, text)
    stage, token, other = where(drawn)
    begin = {"stage": drawn.stages[stage].name, "token": token, "other": other}
    given = cached.journey_drawn(model, typed, *asked, _known=known(config.ffn))
    trace_map.widget({**given, "at": begin, "asked": 0}, key="j_map", on_look=looked)
    if drawn.before:
        text.show("folded", shown=len(drawn.tokens), all=len(passed.ids))
    text.show("reading")
    st.caption(text.read("keys"))
    guess(model, typed, text)
    export(typed, given, drawn, (stage, token, other), text)
    who_said_it(model, passed, token, text)


def tell(passed: cached.Journey, asked: Asked, text: words.Words) -> None:
    """What a change has moved, or what the cache has spared, in one sentence of numbers."""
    drawn = passed.trace_map
    cells = sum(stage.rows for stage in drawn.stages)
    if asked.view == "cache":
        all_cells = len(drawn.stages) * len(drawn.tokens)
        fresh = len(drawn.stages) * drawn.fresh
        text.show(
            "cache",
            token=bare(drawn.tokens[-1]),
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
            before=bare(before),
            p_before=f"{p_before:.0%}",
            after=bare(after),
            p_after=f"{p_after:.0%}",
        )
