"""Whether runs would begin at once: free slots, free memory, and what to do where they would not.

Every button that starts a run asks here before it is drawn. A run that an equal request has led to begins nothing, so
nothing keeps it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import streamlit as st

from gptcore.runs.request import RunRequest
from pages.kit import book, escape, live, session, words

EVERY_SECONDS = 8.0

Requests = Callable[[], Iterable[RunRequest]]


@dataclass(frozen=True, kw_only=True)
class Obstacles:
    """What keeps runs from beginning at once: a place in the queue, or the memory that one of them lacks."""

    requests: Requests = tuple
    position: int | None = None
    wait: float | None = None  # seconds; None where nobody can know it
    lack: str | None = None  # a sentence

    def __bool__(self) -> bool:
        return self.position is not None or self.lack is not None


def obstacles(requests: Requests) -> Obstacles:
    """Find what keeps these runs from beginning at once, those left out that somebody has requested already."""
    try:
        fresh = session.without_known(requests())
    except ValueError:  # the click says why
        return Obstacles()
    if not fresh:
        return Obstacles()
    if (place := session.expected_place()) is not None:
        return Obstacles(requests=requests, position=place[0], wait=place[1])
    lacks = (session.lack_of_memory(*request.configs()) for request in fresh)
    return Obstacles(requests=requests, lack=next(filter(None, lacks), None))


def show(found: Obstacles, prefix: str, *, replays: bool = False) -> None:
    """Say what keeps the runs from beginning at once; with `replays` the page replays the shipped run instead.

    It is said again every few seconds: other visitors' runs end meanwhile.
    """
    if found:
        st.fragment(_show, run_every=EVERY_SECONDS)(found, [found], prefix, replays)


def _show(before: Obstacles, fresh: list[Obstacles], prefix: str, replays: bool) -> None:
    text = words.load("live")
    now = fresh.pop() if fresh else obstacles(before.requests)  # found out just now, the first time
    if now.position is not None and now.wait is None:
        st.caption(text.read("room_wait_unknown", position=now.position))
    elif now.position is not None:
        st.caption(text.read("room_wait", position=now.position, wait=live.duration(now.wait)))
    if now.lack is not None:
        lack = f"{now.lack[:1].upper()}{now.lack[1:]}."
        st.warning(escape.sentence(lack), icon=":material/memory_alt:")
        _offer_replay(text, prefix, replays)
    if (before.position is None, before.lack is None) != (now.position is None, now.lack is None):
        st.rerun()


def _offer_replay(text: words.Words, prefix: str, replays: bool) -> None:
    chapter = next(row for row in book.TABLE if row.url == "training")
    if not replays and prefix.startswith(f"c{chapter.number}_"):
        return  # it is offered beside the other button of this page
    if not replays:
        st.page_link(book.page_of(chapter), label=text.read("room_replay_there"), icon=":material/replay:")
    elif st.button(
        text.read("room_replay"),
        key=f"{prefix}_replay",
        icon=":material/replay:",
        help=text.read("room_replay_help"),
        on_click=live.start_replay,
        args=(prefix,),
    ):
        st.rerun()  # its curves are outside this fragment
