"""The runs of a match: what was planned, what there is, and the buttons that start and stop them."""

import math
from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gptcore.config import PRESETS
from gptcore.experiments import arena, budget
from gptcore.experiments.arena_records import match_key
from gptcore.experiments.played_matches import find_played
from gptcore.runs.run import Run
from pages.kit import curves, escape, event_log, live, room, session, visitor, words

STARTING_SECONDS = 4.0  # of a run: its process, the text, the last look
PROBLEM, GOING = "arena_problem", "arena_going"


class Entry(NamedTuple):
    """One run of the match: what was planned, the run if it exists, and its events so far."""

    planned: arena.Planned
    run: Run | None
    history: curves.History

    @property
    def loss(self) -> float | None:
        """The last validation loss of a run that is over."""
        if not self.history.end:
            return None
        looked = [{"event": "eval", "val_loss": value} for value in self.history.val_loss[-1:]]
        loss = arena.last_loss([*looked, self.history.end])
        return math.inf if loss is not None and math.isnan(loss) else loss

    @property
    def alive(self) -> bool:
        return self.run is not None and self.run.is_under_way()


def entries_of(match: arena.Match) -> list[Entry]:
    """Every run of a match with its events so far."""
    planned = arena.plan(match)
    runs = session.find_runs(planned_run.request for planned_run in planned)
    return [
        Entry(planned_run, run, curves.History() if run is None else _told(run))
        for planned_run, run in zip(planned, runs)
    ]


def _told(run: Run) -> curves.History:
    return event_log.read(run.folder)


@st.cache_data(max_entries=1, show_spinner=False)
def training_flops_per_second() -> float:
    """FLOPs per second that training the smallest preset reaches here, measured once per server."""
    return budget.training_flops_per_second(PRESETS["nano"].model, 128)


def seconds_of(match: arena.Match, even: arena.EqualArms, entries: list[Entry]) -> float:
    """Estimated seconds for the remaining runs, from finished runs or from the measured FLOPs per second."""
    taken: dict[str, list[float]] = {arm: [] for arm in arena.ARMS}
    for entry in entries:
        if entry.loss is not None and entry.history.seconds:
            taken[entry.planned.arm].append(entry.history.seconds[-1])
    total = 0.0
    looks = match.train.n_evals * match.train.eval_batches / 3  # in steps: a look only goes forward
    for entry in entries:
        if entry.loss is None:
            arm, known = even[entry.planned.arm], taken[entry.planned.arm]
            if match.train.seconds is not None:
                seconds = match.train.seconds
            elif known:
                seconds = sum(known) / len(known)
            else:
                seconds = (arm.steps + looks) * arm.flops_per_step / training_flops_per_second()
            total += STARTING_SECONDS + (1 - entry.history.fraction_done) * seconds
    return total / session.limits().runs_at_once


def start_or_stop(
    text: words.Words, match: arena.Match, even: arena.EqualArms, entries: list[Entry]
) -> DeltaGenerator:
    """The number of runs and minutes, and the two buttons; returns the container next to them for the progress."""
    missing = [entry for entry in entries if entry.loss is None]
    alive = [entry for entry in entries if entry.alive]
    is_played = find_played(match) is not None and len(missing) == len(entries) and not alive
    if missing:
        text.show("plan", n=len(entries), left=len(missing), arms=len(arena.ARMS), rates=len(match.rates),
                  seeds=len(match.seeds), long=live.duration(seconds_of(match, even, entries)))  # fmt: skip
    requests = [entry.planned.request for entry in missing if not entry.alive]
    found = room.Obstacles() if alive else room.obstacles(lambda: requests)
    buttons, beside = st.columns([2, 3], gap="medium", vertical_alignment="center")
    with buttons.container(horizontal=True):
        st.button(
            text.read("start_played", n=len(missing))
            if is_played
            else text.read("start", n=len(missing))
            if missing
            else text.read("all_trained"),
            key="arena_start",
            icon=":material/play_arrow:",
            type="primary",
            disabled=not missing or len(alive) == len(missing) or found.lack is not None,
            on_click=start_match,
            args=(match,),
        )
        st.button(
            text.read("stop"),
            key="arena_stop",
            icon=":material/stop:",
            disabled=not alive,
            on_click=stop_match,
            args=(match,),
            help=text.read("stop_help"),
        )
    if problem := st.session_state.get(PROBLEM):
        beside.error(escape.sentence(problem), icon=":material/error:")
    with beside:
        room.show(found, "arena")
    return beside


def start_match(match: arena.Match) -> None:
    """Request every run that is neither done nor under way. For callbacks."""
    st.session_state[GOING] = match_key(match)
    st.session_state[PROBLEM] = request_runs(match)


def request_runs(match: arena.Match, *, again: bool = True) -> str | None:
    """Request the missing runs, as many as the queue accepts; return why none could be requested.

    Without `again` only for what was never asked for: a run that has failed waits for the learner.
    """
    asked = False
    try:
        for entry in entries_of(match):
            if entry.loss is not None or entry.alive or (entry.run is not None and not again):
                asked = asked or entry.alive
                continue
            if entry.run is not None and entry.run.can_resume() and visitor.is_listed_for(entry.run):
                session.resume_run(entry.run)
            else:
                session.start_run(entry.planned.request, lab=True, view=False)
            asked = True
    except (ValueError, OSError) as error:
        return None if asked else str(error)  # the queue is full: the rest is asked for as places come free
    return None


def stop_match(match: arena.Match) -> None:
    """Remove waiting runs from the queue and pause the one in training; finished runs stay. For callbacks."""
    st.session_state.pop(GOING, None)
    for entry in entries_of(match):
        if not entry.alive or not visitor.is_listed_for(entry.run):
            continue  # an equal run of another visitor is seen here too
        if entry.run.state() == "waiting":
            session.withdraw_run(entry.run)
        elif len(entry.run.owners()) > 1:
            session.stop_run(entry.run)  # it goes on for the others
        elif visitor.owns(entry.run):
            session.pause_run(entry.run)
