"""Who is looking: a visitor is a browser, known by an unguessable id in a cookie.

A run belongs to the visitor who started it, and anyone with its link can read it. On the machine the app runs on
there is nobody to tell apart: all runs belong to its user. The server keeps the hash of an id and never the id.
"""

import hashlib
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import streamlit as st

from gptcore.runs import limits
from gptcore.runs.run import RunError
from pages.kit import cookies

if TYPE_CHECKING:
    from gptcore.runs.run import Run

COOKIE = "glassbox_visitor"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1", None)
HOME = "home"  # the owner of what is asked for on the machine itself
_STATE = "visitor_id"
_KEY = "visitor_cookie"
_ID = re.compile(r"[A-Za-z0-9_-]{32}")

# Another tab may have been faster: the id the cookie has then is the one that counts.
_WRITE = (
    cookies.ATTRIBUTES_JS
    + """
export default function ({ data, setStateValue }) {
  const found = document.cookie.split("; ").find((one) => one.startsWith(data.name + "="))
  if (!found) document.cookie = data.name + "=" + data.id + attributes()
  else if (found.split("=")[1] !== data.id) setStateValue("id", found.split("=")[1])
}
"""
)
_COOKIE_WRITER = st.components.v2.component("glassbox_visitor", html="<span></span>", js=_WRITE)


def is_hosted() -> bool:
    """Whether the app says it is there for strangers."""
    return limits.is_hosted()


def is_local() -> bool:
    """Whether the visitor sits at the machine the app runs on."""
    elsewhere = isinstance(st.context.ip_address, str)  # None on the machine itself
    return not is_hosted() and not elsewhere and _url_is_local()


def _url_is_local() -> bool:
    """Whether the browser reached the app by the name of its own machine."""
    url = st.context.url
    return urlsplit(url).hostname in LOCAL_HOSTS if url else True


def visitor_id() -> str:
    """The name under which this visitor's runs are kept: the hash of the browser's id."""
    if is_local():
        return HOME
    return hashlib.sha256(_id().encode()).hexdigest()[:32]


def owns(run: "Run") -> bool:
    """Whether this visitor controls a run: the one who started it, or anyone at home."""
    return is_local() or run.owners()[:1] == [visitor_id()]


def is_listed_for(run: "Run") -> bool:
    """Whether a run stands on this visitor's list."""
    return is_local() or visitor_id() in run.owners()


def check_owns(run: "Run") -> None:
    """Raise RunError unless this visitor controls a run.

    Every change of a run asks here, and not only the button that is disabled: a browser may send what it likes.
    """
    if not owns(run):
        raise RunError(
            f"{run.id} is controlled by the browser that started it; start your own run to control it"
        )


def check_listed(run: "Run") -> None:
    """Raise RunError unless a run is on this visitor's list."""
    if not is_listed_for(run):
        raise RunError(f"{run.id} is not one of your runs. You can only change runs that you started")


def owner_name(run: "Run") -> str:
    """The owner of a run as whom this visitor changes it; at home its first owner, where nobody here asked for it."""
    owners, own = run.owners(), visitor_id()
    return owners[0] if is_local() and owners and own not in owners else own


def write_cookie() -> None:
    """Have the browser keep its id; called once a page, in the sidebar."""
    if is_local() or _in_cookie() is not None:
        return
    _COOKIE_WRITER(key=_KEY, data={"name": COOKIE, "id": _id()}, height=1, on_id_change=lambda: None)


def _id() -> str:
    known = _in_cookie() or _legal((st.session_state.get(_KEY) or {}).get("id"))
    return known or st.session_state.setdefault(_STATE, secrets.token_urlsafe(24))


def _in_cookie() -> str | None:
    return _legal(st.context.cookies.get(COOKIE))


def _legal(value: object) -> str | None:
    """An id of our making, or None: a cookie may hold anything."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None
