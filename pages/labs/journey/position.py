"""The stage and tokens on view, kept in the link."""

import streamlit as st

from pages.kit import links, trace_map


def position_on_view(drawn: trace_map.TraceMap) -> tuple[int, int, int | None]:
    """The stage, token and second token on view, from the link; the last token's last weights by default."""
    n, names = len(drawn.tokens), [stage.name for stage in drawn.stages]
    weights = [stage.name for stage in drawn.stages if stage.kind == "weights"]
    stage = kept_choice("j_stage", links.Choice(names), weights[-1] if weights else names[0])
    token = kept_choice("j_token", links.Number(1, n), str(n))
    other = kept_choice("j_with", links.Number(0, n), "0")
    at = int(token) - 1
    second = int(other) - 1
    return drawn.index_of(stage), at, second if second >= 0 and second != at else None


def kept_choice(key: str, rule: links.Rule, default: str) -> str:
    """A place on the map, as the visitor left it or as the link asks; what is not there is the default."""
    if key in st.session_state and rule.refuses(st.session_state[key]) is not None:
        # A place of the text or model before: nobody asked for it here.
        st.session_state[key] = default
        links.forget(key)
    asked = links.read(key, rule, default)
    links.watch(links.Bound(key, rule, default))
    st.session_state.setdefault(key, str(asked))
    links.write(key, st.session_state[key], default)
    return st.session_state[key]


def remember_position() -> None:
    """The visitor has come to rest at a place: remember it, so that the link says it."""
    look = st.session_state["j_map"].look
    st.session_state["j_stage"] = str(look["stage"])
    st.session_state["j_token"] = str(int(look["token"]) + 1)
    st.session_state["j_with"] = str(0 if look["other"] is None else int(look["other"]) + 1)
