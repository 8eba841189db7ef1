"""The model in use, kept by the browser: it survives a reload by an address that names no model."""

import streamlit as st

from pages.kit import cookies, links

COOKIE = "glassbox_model"
_ASKED = (
    "model_choice_read"  # session state: a visit reads the cookie once, since its own choices come after it
)

_WRITE = (
    cookies.ATTRIBUTES_JS
    + """
export default function ({ data }) {
  document.cookie = data.name + "=" + data.value + (data.value ? attributes() : attributes(0))
}
"""
)
_COOKIE_WRITER = st.components.v2.component("glassbox_model_choice", html="<span></span>", js=_WRITE)


def remembered() -> str | None:
    """The id of the run whose model this browser used last; None on every call but the first of a visit."""
    if st.session_state.get(_ASKED):
        return None
    st.session_state[_ASKED] = True
    value = st.context.cookies.get(COOKIE)
    # Anybody can write a cookie: only what has the form of an id is taken.
    return value if isinstance(value, str) and links.RunId().refuses(value) is None else None


def remember(run_id: str | None) -> None:
    """Have the browser store the id, or delete it; called once a page, in the sidebar."""
    _COOKIE_WRITER(key="model_choice_cookie", data={"name": COOKIE, "value": run_id or ""}, height=1)
