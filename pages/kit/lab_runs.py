"""The runs that labs start: a button, the reason why a run could not start, and the runs of this visit.

`train` is all of it for a lab of one run at a time. A lab that compares several runs calls `start_button`,
`show_problem` and `started_runs`, and draws their losses itself.
"""

from collections.abc import Callable, Hashable, Mapping
from contextlib import nullcontext
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gptcore.config import PRESETS
from gptcore.resources import cores_for_training
from gptcore.runs.request import RunRequest
from gptcore.runs.run import Run
from pages.kit import escape, live, room, session, visitor
from pages.kit.history import History
from pages.kit.room import Obstacles


def page_settings() -> dict[str, int]:
    """The settings of a run of the preset `nano` that a page starts: threads that leave the page a core.

    Where strangers visit, each batch is trained on in two parts, which takes 45 MB less and a tenth longer.
    """
    settings = {"threads": cores_for_training()}
    if visitor.is_hosted():
        train = PRESETS["nano"].train
        settings |= {"batch_size": train.batch_size // 2, "accumulation": 2 * train.accumulation}
    return settings


def lab_request(
    settings: Mapping[str, Any], *, n_samples: int, n_evals: int, seed: int = 1, **length: float
) -> RunRequest:
    """A short run on the built-in stories, with a lab's settings; `length` is `seconds=` or `steps=`."""
    watching = {"threads": cores_for_training(), "n_samples": n_samples, "n_evals": n_evals}
    return RunRequest(seed=seed, settings={**settings, **watching}, **length)


def started_runs(store: str) -> dict[Hashable, Run]:
    """The runs that this visit started and that still exist, by name; `store` is their key in the session."""
    runs = {name: session.run_named(run_id) for name, run_id in st.session_state.get(store, {}).items()}
    return {name: run for name, run in runs.items() if run is not None}


def any_under_way(runs: Mapping[Hashable, Run]) -> bool:
    """Whether one of these runs is training or waiting."""
    return any(run.is_under_way() for run in runs.values())


def start_button(
    prefix: str,
    label: str,
    requests: Callable[[], Mapping[Hashable, RunRequest]],
    *,
    key: str,
    store: str,
    lab: bool = True,
    disabled: bool = False,
    **button: Any,
) -> Obstacles:
    """A button that starts a run for each of the requests; returns what keeps them from beginning at once.

    The runs are kept in the session under `store`, by the requests' names. `prefix` begins the key under which
    `show_problem` finds why one could not start. `button` are further arguments of `st.button`. Nothing is said to
    keep the runs of a button that is `disabled`; one whose run lacks memory is disabled, too.
    """
    found = Obstacles() if disabled else room.obstacles(lambda: requests().values())
    st.button(
        label,
        key=key,
        icon=":material/play_arrow:",
        disabled=disabled or found.lack is not None,
        on_click=_start,
        args=(prefix, requests, store, lab),
        **button,
    )
    return found


def show_problem(prefix: str, found: Obstacles) -> None:
    """Why the last click could not start a run, where it could not, and what keeps the next from beginning at once."""
    if problem := st.session_state.get(f"{prefix}_problem"):
        st.error(escape.sentence(problem), icon=":material/error:")
    room.show(found, prefix)


def train(
    prefix: str,
    label: str,
    request: Callable[[], RunRequest],
    *,
    key: str,
    help: str,
    store: str | None = None,
    name: Hashable = None,
    draw: Callable[[History], None] | None = None,
    column: DeltaGenerator | None = None,
) -> Run | None:
    """The button that starts a lab's run, and the run while it trains; returns the run once it is over.

    A lab with one run for each of its settings gives the `name` of this one and the `store` of them all. `draw`
    shows more of the run; the button is placed in `column`, where one is given.
    """
    store = store or f"{prefix}_run"
    run = started_runs(store).get(name)
    alive = run is not None and run.is_under_way()
    button, state = (column, nullcontext()) if column else button_and_state()
    with button:
        found = start_button(
            prefix, label, lambda: {name: request()}, key=key, store=store, disabled=alive, help=help
        )
    with state:
        if run is not None:
            live.run_status(run, prefix)
        show_problem(prefix, found)
    if run is not None:
        live.run_text(run, prefix, draw)
    return None if alive else run


def button_and_state() -> list[DeltaGenerator]:
    """A place for a button that starts a run and one beside it for what the run says, so that both are in view."""
    return st.columns([2, 5], gap="medium", vertical_alignment="center")


def _start(prefix: str, requests: Callable[[], Mapping[Hashable, RunRequest]], store: str, lab: bool) -> None:
    """Start the runs. For callbacks."""
    st.session_state[f"{prefix}_problem"] = None
    run_ids = dict(st.session_state.get(store, {}))
    try:
        for name, request in requests().items():
            run_ids[name] = session.start_run(request, lab=lab).id
    except (ValueError, OSError) as error:
        st.session_state[f"{prefix}_problem"] = str(error)
    st.session_state[store] = run_ids
