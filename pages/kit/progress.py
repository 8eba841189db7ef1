"""What a visitor has passed and where they stopped: a small file on a laptop, a cookie where many visit.

A check is anything that can be right or wrong (a question, an exercise, a prediction made); its name says where it
is, such as `c5.why_mask`. On a local machine the file is in the runs folder. Where the app is open to others the
browser keeps the same few bytes itself, and the server keeps nothing.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

import streamlit as st

from gptcore.runs.run import runs_folder
from pages.kit import visitor

STATE = "progress"
COOKIE = "glassbox_progress"
MOST_BYTES = 3500  # of a cookie, which browsers cut at 4,096

_WRITE = """
export default function ({ data }) {
  const text = data.name + "=" + data.value
  document.cookie = text + "; path=/; max-age=31536000; samesite=lax"
}
"""
_COOKIE_WRITER = st.components.v2.component("glassbox_progress", html="<span></span>", js=_WRITE)


def passed() -> set[str]:
    """The names of the checks this visitor has passed."""
    return set(_state()["passed"])


def passed_in(chapter: int) -> int:
    """How many checks of a chapter are passed."""
    return sum(name.startswith(f"c{chapter}.") for name in passed())


def is_done(chapter: int) -> bool:
    """Whether every question of a chapter has been answered."""
    return f"done.{chapter}" in passed()


def finish(chapter: int) -> None:
    """Note that every question of a chapter has been answered."""
    tick(f"done.{chapter}")


def tick(*names: str) -> None:
    """Note checks as passed, for this visit and the next."""
    state = _state()
    if fresh := [name for name in dict.fromkeys(names) if name not in state["passed"]]:
        state["passed"] += fresh
        _keep(state)


def visit(url: str) -> None:
    """Remember the visitor's page."""
    state = _state()
    if state["last"] != url:
        state["last"] = url
        _keep(state)


def last_page() -> str | None:
    """The address of the page where the visitor stopped, None on a first visit."""
    return _state()["last"]


def write_cookie() -> None:
    """Have the browser keep the progress; called once a page, in the sidebar, where the app is hosted."""
    if not visitor.is_local() and STATE in st.session_state:
        value = quote(_as_text(_state()))
        _COOKIE_WRITER(key="progress_cookie", data={"name": COOKIE, "value": value}, height=1)


def _state() -> dict:
    if STATE not in st.session_state:
        st.session_state[STATE] = _parse(_read())
    return st.session_state[STATE]


def _read() -> str:
    if not visitor.is_local():
        cookie = st.context.cookies.get(COOKIE)
        return unquote(cookie) if isinstance(cookie, str) else ""
    try:
        return _file().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _keep(state: dict) -> None:
    st.session_state[STATE] = state
    if not visitor.is_local():
        return  # the sidebar's next run hands it to the browser
    # Another tab may have passed something since this one read the file: nothing in it is taken away.
    state["passed"] = list(dict.fromkeys([*_parse(_read())["passed"], *state["passed"]]))
    path = _file()
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(_as_text(state), encoding="utf-8")
        fresh.replace(path)
    except OSError:
        return  # a full or read-only disk must not stop a lesson; this visit still remembers


def _file() -> Path:
    return runs_folder() / "progress.json"


def _as_text(state: dict) -> str:
    text = json.dumps(state, separators=(",", ":"))
    while len(quote(text)) > MOST_BYTES and state["passed"]:
        state = state | {"passed": state["passed"][1:]}  # the oldest go first
        text = json.dumps(state, separators=(",", ":"))
    return text


def _parse(text: str) -> dict:
    """The state in a file or cookie; anybody can write those, so only what has the right form is taken."""
    try:
        parsed = json.loads(text or "{}")
    except (ValueError, RecursionError):
        parsed = {}
    parsed = parsed if isinstance(parsed, dict) else {}
    names = parsed.get("passed")
    last = parsed.get("last")
    return {
        "passed": _names(names) if isinstance(names, list) else [],
        "last": last if isinstance(last, str) and len(last) < 40 else None,
    }


def _names(names: Iterable) -> list[str]:
    return [name for name in names if isinstance(name, str) and len(name) < 60][:400]
