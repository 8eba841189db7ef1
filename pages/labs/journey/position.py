"""The stage, tokens, number and zoom on view, kept in the link."""

from dataclasses import dataclass

import streamlit as st

from pages.kit import links, trace_map


@dataclass(frozen=True, slots=True)
class Position:
    """What of the map is on view: stage, token and second token by index, the number's column (None: main one)."""

    stage: int
    token: int
    other: int | None
    column: int | None
    zoom: str


def position_on_view(drawn: trace_map.TraceMap) -> Position:
    """The position that the link asks for; the last token's last attention weights by default."""
    n, names = len(drawn.tokens), [stage.name for stage in drawn.stages]
    weights = [stage.name for stage in drawn.stages if stage.kind == "weights"]
    name = kept_choice("j_stage", links.Choice(names), weights[-1] if weights else names[0])
    stage = drawn.stages[drawn.index_of(name)]
    token = int(kept_choice("j_token", links.Number(1, n), str(n))) - 1
    second = int(kept_choice("j_with", links.Number(0, n), "0")) - 1
    inner = stage.shape[-1][1]
    head = int(kept_choice("j_cell_head", links.Number(1, stage.groups), "1")) - 1
    inside = int(kept_choice("j_cell", links.Number(0, inner), "0")) - 1
    return Position(
        stage=drawn.index_of(name),
        token=token,
        other=second if second >= 0 and second != token else None,
        column=head * inner + inside if inside >= 0 else None,
        zoom=kept_choice("j_zoom", links.Choice(trace_map.ZOOMS), trace_map.ZOOMS[0]),
    )


def kept_choice(key: str, rule: links.Rule, default: str) -> str:
    """A part of the position, as the visitor left it or as the link asks; what does not exist is the default."""
    if key in st.session_state and rule.refuses(st.session_state[key]) is not None:
        # A position in the text or model before: nobody asked for it here.
        st.session_state[key] = default
        links.forget(key)
    if key in st.session_state and not links.gives(key, st.session_state[key]):
        links.forget(key)  # the visitor has moved on since the link was written
    requested = links.read(key, rule, default)
    links.watch(links.Bound(key, rule, default))
    st.session_state.setdefault(key, str(requested))
    links.write(key, st.session_state[key], default)
    return st.session_state[key]


def remember_position() -> None:
    """The visitor has come to rest at a position: remember it, so that the link says it."""
    look = st.session_state["j_map"].look
    st.session_state["j_stage"] = str(look["stage"])
    st.session_state["j_token"] = str(int(look["token"]) + 1)
    st.session_state["j_with"] = str(0 if look["other"] is None else int(look["other"]) + 1)
    st.session_state["j_cell_head"] = str(int(look["head"]) + 1)
    st.session_state["j_cell"] = str(0 if look["cell"] is None else int(look["cell"]) + 1)
    st.session_state["j_zoom"] = str(look["zoom"])
