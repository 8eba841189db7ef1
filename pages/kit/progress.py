"""What a visitor has passed and where they stopped: a small file on a laptop, a cookie where many visit.

A check is anything that can be right or wrong (a question, an exercise, a prediction made); its name says where it
is, such as `c5.why_mask`. On a local machine the file is in the runs folder. Where the app is open to others the
browser keeps the same few bytes itself, and the server keeps nothing.

Only what a script draws can write a cookie. So whatever calls `tick` also calls `write_cookie`, in its own fragment:
the sidebar and the header don't run again when a fragment does.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

import streamlit as st

from gptcore.runs.run import runs_folder
from pages.kit import cookies, visitor

STATE = "progress"
COOKIE = "glassbox_progress"
BETWEEN = "!"  # allowed in a cookie, and percent-encoded in what it separates
MOST_BYTES = 3800  # of a cookie, which browsers cut at 4,096
MOST_NAMES = 400

# The cookie holds the page and then the names. Another tab may have written some since this session began, so none
# that it holds is removed until there is no room. Then the oldest go first, and those of whole chapters last.
_WRITE = (
    cookies.ATTRIBUTES_JS
    + """
export default function ({ data }) {
  const found = document.cookie.split("; ").find((one) => one.startsWith(data.name + "="))
  const kept = (found ?? "").slice(data.name.length + 1)
  const before = kept.startsWith("%7B") ? [] : kept.split(data.between).slice(1)  // the first edition wrote JSON
  const names = [...new Set([...before, ...data.passed])]
  const text = () => [data.last, ...names].join(data.between)
  while (names.length && text().length > data.most) {
    names.splice(Math.max(0, names.findIndex((name) => !name.startsWith("done."))), 1)
  }
  document.cookie = data.name + "=" + text() + attributes()
}
"""
)
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


def write_cookie(place: str) -> None:
    """Have the browser keep the progress, where the app is hosted; `place` names the caller."""
    if visitor.is_local():
        return
    state = _state()
    data = {
        "name": COOKIE,
        "between": BETWEEN,
        "most": MOST_BYTES,
        "last": quote(state["last"] or "", safe=""),
        "passed": [quote(name, safe="") for name in state["passed"]],
    }
    _COOKIE_WRITER(key=f"progress_{place}", data=data, height=1)


def _state() -> dict:
    if STATE not in st.session_state:
        st.session_state[STATE] = _in_file() if visitor.is_local() else _in_cookie()
    return st.session_state[STATE]


def _in_cookie() -> dict:
    cookie = st.context.cookies.get(COOKIE)
    return _parse_cookie(cookie if isinstance(cookie, str) else "")


def _in_file() -> dict:
    try:
        return _parse(_file().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return _parse("")


def _keep(state: dict) -> None:
    st.session_state[STATE] = state
    if not visitor.is_local():
        return  # `write_cookie` hands it to the browser
    # Another tab may have passed something since this one read the file: nothing in it is taken away.
    state["passed"] = list(dict.fromkeys([*_in_file()["passed"], *state["passed"]]))
    path = _file()
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(state, separators=(",", ":")), encoding="utf-8")
        fresh.replace(path)
    except OSError:
        return  # a full or read-only disk must not stop a lesson; this visit still remembers


def _file() -> Path:
    return runs_folder() / "progress.json"


def _parse_cookie(text: str) -> dict:
    """The state in a cookie; the first edition wrote JSON."""
    if text.startswith("%7B"):
        return _parse(unquote(text))
    last, *names = (unquote(part) for part in text.split(BETWEEN))
    return _checked({"passed": [name for name in names if name], "last": last or None})


def _parse(text: str) -> dict:
    """The state in a text of JSON."""
    try:
        parsed = json.loads(text or "{}")
    except (ValueError, RecursionError):
        parsed = {}
    return _checked(parsed if isinstance(parsed, dict) else {})


def _checked(parsed: dict) -> dict:
    """What has the right form: anybody can write a file or a cookie."""
    names = parsed.get("passed")
    last = parsed.get("last")
    return {
        "passed": _names(names) if isinstance(names, list) else [],
        "last": last if isinstance(last, str) and len(last) < 40 else None,
    }


def _names(names: Iterable) -> list[str]:
    return [name for name in names if isinstance(name, str) and len(name) < 60][:MOST_NAMES]
