"""Whether a run would begin at once: free memory, free slots, and what to do where it would not."""

import streamlit as st

from gptcore.config import ModelConfig, TrainConfig
from pages.kit import escape, live, session, words

EVERY_SECONDS = 4.0


def room(model: ModelConfig, train: TrainConfig, prefix: str) -> bool:
    """Say what keeps this run from beginning at once, and offer a replay instead; return whether it can be started."""
    place, lack = _obstacles(model, train)
    if place is not None or lack is not None:
        # Said again every few seconds: other visitors' runs end meanwhile.
        st.fragment(_room, run_every=EVERY_SECONDS)(model, train, prefix, (place is None, lack is None))
    return lack is None


def _obstacles(model: ModelConfig, train: TrainConfig) -> tuple[tuple[int, float | None] | None, str | None]:
    """The place in the queue and its wait, or for a run that would begin at once the memory it lacks."""
    place = session.expected_place()
    return place, session.lack_of_memory(model, train) if place is None else None


def _room(model: ModelConfig, train: TrainConfig, prefix: str, before: tuple[bool, bool]) -> None:
    text = words.load("08_training")
    place, lack = _obstacles(model, train)
    if place is not None:
        position, seconds = place
        if seconds is None:
            st.caption(text.read("room_wait_unknown", position=position))
        else:
            st.caption(text.read("room_wait", position=position, wait=live.duration(seconds)))
    if lack is not None:
        st.warning(escape.sentence(f"{lack[:1].upper()}{lack[1:]}."), icon=":material/memory_alt:")
        replays = st.button(
            text.read("room_replay"),
            key=f"{prefix}_replay",
            icon=":material/replay:",
            help=text.read("room_replay_help"),
            on_click=live.start_replay,
            args=(prefix,),
        )
        if replays:
            st.rerun()  # its curves are outside this fragment
    if before != (place is None, lack is None):
        st.rerun()
