"""The form that asks for the secret, and the button that closes the page again."""

import streamlit as st

from pages.kit import host_access, words

_FIELD, _ANSWER = "host_secret", "host_answer"


def gate() -> bool:
    """Ask for the secret; return whether this session has given it."""
    text = words.load("host")
    if host_access.is_admitted():
        st.session_state.pop(_ANSWER, None)
        return True
    with st.form("host_gate", width=420):
        st.text_input(
            text.read("secret"), type="password", key=_FIELD, max_chars=200, help=text.read("secret_help")
        )
        st.form_submit_button(
            text.read("enter"), key="host_enter", type="primary", icon=":material/lock_open:", on_click=_give
        )
    match st.session_state.pop(_ANSWER, None):
        case "short":
            st.error(text.read("short", n=host_access.SHORTEST), icon=":material/error:")
        case "wrong":
            st.error(text.read("wrong"), icon=":material/error:")
        case "wait":
            st.error(text.read("wait"), icon=":material/error:")
    return False


def leave() -> None:
    """The button that closes the page for this session."""
    st.button(
        words.load("host").read("leave"),
        key="host_leave",
        icon=":material/lock:",
        on_click=host_access.leave,
    )


def _give() -> None:
    """Try the secret, and keep it no longer. For callbacks."""
    st.session_state[_ANSWER] = host_access.give(str(st.session_state.pop(_FIELD, "")))
