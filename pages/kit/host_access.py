"""Who may see the host page: a session that gave the secret in GLASSBOX_HOST_SECRET. Without one there is no page.

A session that gave the secret is admitted until it ends, the server does or the secret changes. Attempts are limited,
in each session and over all of them, so that trying is slow.
"""

import hashlib
import hmac
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

import streamlit as st

VARIABLE = "GLASSBOX_HOST_SECRET"
SHORTEST = 12  # characters of a secret; a shorter one admits nobody
DELAY_SECONDS = 0.5  # of a wrong answer
WINDOW_SECONDS = 60.0
MOST_IN_SESSION, MOST_OVERALL = 5, 30  # attempts in a window

Answer = Literal["admitted", "wrong", "wait", "short"]
MOST_TICKETS = 100
_TICKET, _ATTEMPTS = "host_ticket", "host_attempts"  # session state
_tickets: dict[str, bytes] = {}  # those given, with the digest of the secret that they were given for


class Attempts:
    """So many attempts in a window of time, and no more; any thread may call."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic):
        self.most, self.clock = most, clock
        self._lock = threading.Lock()
        self._times: deque[float] = deque()

    def take(self) -> bool:
        """Take one attempt; return whether there was one left."""
        with self._lock:
            now = self.clock()
            while self._times and now - self._times[0] >= WINDOW_SECONDS:
                self._times.popleft()
            if len(self._times) >= self.most:
                return False
            self._times.append(now)
            return True


_overall = Attempts(MOST_OVERALL)


def is_enabled() -> bool:
    """Whether there is a page of the host."""
    return bool(_secret())


def is_admitted() -> bool:
    """Whether this session has given the secret; each action asks, since a message may press any button."""
    return is_valid(ticket())


def ticket() -> str:
    """What this session was admitted with, for work that is done outside it; an empty text without admission."""
    return str(st.session_state.get(_TICKET, ""))


def is_valid(ticket: str) -> bool:
    """Whether a ticket admits: it was given here, is not returned yet, and the secret is still the same."""
    return is_enabled() and hmac.compare_digest(_tickets.get(ticket, b""), _digest(_secret()))


def give(secret: str) -> Answer:
    """Admit this session if it gives the right secret."""
    if len(_secret()) < SHORTEST:
        return "short"
    attempts = st.session_state.setdefault(_ATTEMPTS, Attempts(MOST_IN_SESSION))
    if not (attempts.take() and _overall.take()):
        return "wait"
    # Digests, so that neither the time nor the length of a comparison says anything of the secret.
    if not hmac.compare_digest(_digest(secret), _digest(_secret())):
        time.sleep(DELAY_SECONDS)
        return "wrong"
    fresh = st.session_state[_TICKET] = secrets.token_urlsafe(24)
    _tickets[fresh] = _digest(_secret())
    while len(_tickets) > MOST_TICKETS:
        _tickets.pop(next(iter(_tickets)), None)  # the oldest
    return "admitted"


def leave() -> None:
    """Return this session's ticket."""
    _tickets.pop(st.session_state.pop(_TICKET, ""), None)


def _secret() -> str:
    return os.environ.get(VARIABLE, "").strip()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.strip().encode(errors="replace")).digest()
