"""One training run on the page, drawn from its events while they are written.

Training is another process: this module only reads what it writes, so a reload, a second tab or a page
switch changes nothing about the run. The fragment calls itself once a second for as long as the run lives.
"""

import functools
import time
from collections.abc import Callable

import streamlit as st

from gptcore.runs.run import ALIVE, UNDER_WAY, Run
from pages.kit import curves, escape, event_log, figures, links, models, session, story_data, visitor, words
from pages.kit.history import History

EVERY_SECONDS = 0.8
PANEL_HEIGHT = 320
REPLAY_SECONDS = 30.0  # for all of a run, however long it took
REPLAY_EVERY_SECONDS = 2.0  # in which a browser draws all the curves
REPLAY = "_replay_since"  # ends the key of a replay's first moment


def run_view(run: Run, prefix: str) -> None:
    """Show a run: its state, curves and generated text; the view refreshes while the run is alive."""
    run_status(run, prefix)
    run_curves(run, prefix)


def run_status(run: Run, prefix: str) -> None:
    """The state of a run and its buttons, for the area next to the button that started it."""
    alive = run.is_under_way()
    _renew(_status_view, alive)(run.id, prefix, alive)


def run_curves(run: Run, prefix: str, draw: Callable[[History], None] | None = None) -> None:
    """The curves of a run and what it writes, or what `draw` makes of its events."""
    alive = run.is_under_way()
    _renew(_curves_view, alive)(run.id, prefix, alive, draw)


def run_text(run: Run, prefix: str, draw: Callable[[History], None] | None = None) -> None:
    """The newest text of a run, for a page that is about something else, below what `draw` shows."""
    run_curves(run, prefix, functools.partial(_newest_text, draw=draw))


def shipped_view(prefix: str) -> None:
    """Show the run that made the shipped model, as any run that is over."""
    measuring = story_data.table_scores() is None
    _renew(_shipped_view, measuring)(prefix, measuring)


def replay_view(prefix: str) -> None:
    """Replay the run that made the shipped model from its first step, in the time of `REPLAY_SECONDS`."""
    st.fragment(_replay_view, run_every=REPLAY_EVERY_SECONDS)(prefix)


def _replay_view(prefix: str) -> None:
    history = event_log.shipped()
    passed = (time.monotonic() - st.session_state[f"{prefix}{REPLAY}"]) / REPLAY_SECONDS
    if passed >= 1:
        st.session_state.pop(f"{prefix}{REPLAY}")
        st.rerun()  # without the timer, and with the controls of a run that is over
    text, so_far = words.load("live"), history.until(passed * history.seconds[-1])
    st.progress(passed, text=text.read("replaying", step=so_far.last_step, total=history.total_steps))
    panels(so_far, prefix, ended=False)


def start_replay(prefix: str) -> None:
    """Begin the replay from its first step. For callbacks."""
    st.session_state[f"{prefix}{REPLAY}"] = time.monotonic()


def stop_replay(prefix: str) -> None:
    """End the replay, where one is going on."""
    st.session_state.pop(f"{prefix}{REPLAY}", None)


def is_replaying(prefix: str) -> bool:
    """Whether a replay is going on."""
    return f"{prefix}{REPLAY}" in st.session_state


def _renew(draw: Callable[..., None], still: bool) -> Callable[..., None]:
    return st.fragment(draw, run_every=EVERY_SECONDS if still else None)


def _shipped_view(prefix: str, was_measuring: bool) -> None:
    panels(event_log.shipped(), prefix, ended=True)
    if was_measuring and story_data.table_scores() is not None:
        st.rerun()


def _status_view(run_id: str, prefix: str, was_alive: bool) -> None:
    run = session.run_named(run_id)
    if run is None:
        st.info(words.load("live").read("gone"), icon=":material/delete:")
        return
    state = run.state()
    _status(run, state, event_log.follow(run), prefix)
    if was_alive != (state in UNDER_WAY):
        # One full run of the page: it ends the timers, or starts them, and brings what a finished run offers.
        st.rerun()


def _curves_view(run_id: str, prefix: str, was_alive: bool, draw: Callable[[History], None] | None) -> None:
    run = session.run_named(run_id)
    if run is None:
        return
    history = event_log.follow(run)
    if not history.start and not was_alive:
        return
    if draw is not None:
        draw(history)
        return
    # What comes and goes stands in a frame of its own: an element that changes its position is drawn again.
    with st.container():
        for note in dict.fromkeys([*run.config().get("notes", []), *history.start.get("notes", [])]):
            st.caption(escape.sentence(note))
    with st.container():
        panels(history, prefix, ended=not was_alive)


def _newest_text(history: History, draw: Callable[[History], None] | None) -> None:
    if draw is not None:
        draw(history)
    if history.samples:
        shown = history.samples[-1]
        st.caption(words.load("live").read("writes", step=shown["step"]))
        with st.container(height=110, border=True):
            st.text(shown["text"].strip() or "(only the end-of-text token)")


def _status(run: Run, state: str, history: History, prefix: str) -> None:
    """The state of the run, in words and as a progress bar, with the buttons of that state."""
    text = words.load("live")
    bar, *places = st.columns([8, 2, 2], vertical_alignment="center")
    waits_for = session.waiting_problem(run) if state == "waiting" else None
    bar.progress(history.fraction_done, text=_sentence(run, state, history, waits_for))
    _buttons(run, state, prefix, places)
    with st.container():
        if state == "failed":
            st.error(escape.sentence(run.failure() or text.read("failed_silently")), icon=":material/error:")
        if waits_for is not None:
            st.warning(escape.sentence(waits_for), icon=":material/pause_circle:")
        if problem := st.session_state.get(f"{prefix}_run_problem"):
            st.error(escape.sentence(problem), icon=":material/error:")
        if not visitor.owns(run):
            st.caption(text.read("read_only"))
        elif (others := len(run.owners()) - 1) > 0 and state in UNDER_WAY:
            st.caption(text.read("shared", others=others))


def _buttons(run: Run, state: str, prefix: str, places: list) -> None:
    """Pause or resume, and stop; for a visitor whose run it is not, none of them works."""
    mine = visitor.owns(run)
    requested = run.requested_action() is not None
    shared = len(run.owners()) > 1
    first, second = places
    resumes = state not in UNDER_WAY and run.action() == "resume"
    if state == "waiting":
        first.button(
            "Withdraw",
            key=f"{prefix}_withdraw",
            icon=":material/undo:",
            disabled=not visitor.is_listed_for(run),
            on_click=_act,
            args=(prefix, session.withdraw_run, run),
            width="stretch",
            help=words.load("live").read("withdraw_help"),
        )
    elif resumes:
        first.button(
            "Resume",
            key=f"{prefix}_resume",
            icon=":material/play_arrow:",
            type="primary",
            disabled=not mine,
            on_click=_act,
            args=(prefix, session.resume_run, run),
            width="stretch",
            help="Continues from the last checkpoint, with the same numbers as without a pause.",
        )
    else:
        first.button(
            "Pause",
            key=f"{prefix}_pause",
            icon=":material/pause:",
            disabled=state != "running" or requested or not mine or shared,
            on_click=_act,
            args=(prefix, session.pause_run, run),
            width="stretch",
            help="Ends the process and saves a checkpoint, so you can resume later.",
        )
    second.button(
        "Stop",
        key=f"{prefix}_stop",
        icon=":material/stop:",
        disabled=state != "running" or requested or not mine,
        on_click=_act,
        args=(prefix, session.stop_run, run),
        width="stretch",
        help="Ends the run at its next step and keeps the model.",
    )


def _act(prefix: str, act: Callable[[Run], None], run: Run) -> None:
    """Do a button's action; show an error under it if that fails."""
    try:
        act(run)
        st.session_state[f"{prefix}_run_problem"] = None
    except (ValueError, OSError) as error:
        st.session_state[f"{prefix}_run_problem"] = str(error)


def _sentence(run: Run, state: str, history: History, waits_for: str | None) -> str:
    text = words.load("live")
    if state == "waiting":
        position, wait = session.position_in_queue(run) or 1, session.expected_wait(run)
        if wait is None or waits_for is not None:
            return text.read("waiting_unknown", position=position)
        if wait == 0:
            return text.read("waiting_next")
        return text.read("waiting", position=position, wait=duration(wait))
    if state == "running" and (action := run.requested_action()):
        return text.read("pausing" if action == "pause" else "stopping", step=history.last_step)
    if state == "running" and history.start and history.steps:
        left = history.seconds_left
        return text.read(
            "training",
            step=history.last_step,
            total=history.total_steps,
            left="–" if left is None else duration(left),
            loss=history.loss[-1],
            speed=history.tokens_per_second[-1],
        )
    if state in ALIVE:
        since = _measuring_since(run)
        return text.read("starting") if since is None else text.read("measuring", seconds=time.time() - since)
    if state == "done":
        return _ended(history, text)
    if state in ("failed", "paused"):
        return text.read(state, step=history.last_step)
    return text.read("interrupted" if run.can_resume() else "interrupted_lost", step=history.last_step)


def _measuring_since(run: Run) -> float | None:
    """When a run that has not begun its first step wrote down its settings, to time itself next; None before that."""
    try:
        return (run.folder / "config.json").stat().st_mtime
    except OSError:
        return None


def _ended(history: History, text: words.Words) -> str:
    """How a run ended that is complete or was stopped."""
    step, seconds = history.last_step, duration(history.seconds[-1] if history.seconds else 0)
    match history.end.get("reason"):
        case "imported":
            return text.read("imported")
        case "seconds":
            return text.read("out_of_time", step=step, seconds=seconds)
        case "stopped":
            return text.read("stopped", step=step, seconds=seconds)
    return text.read("done", step=step, seconds=seconds)


def duration(seconds: float) -> str:
    """Seconds in a readable form."""
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02d} s"


def panels(history: History, prefix: str, *, ended: bool) -> None:
    """The curves of a run and its generated text, at a fixed height so that the page doesn't jump."""
    text = words.load("live")
    bind = links.check(f"{prefix}_log", links.Switch())
    with st.container(horizontal=True, gap="medium"):
        log_x = st.toggle(
            "Logarithmic step axis",
            key=f"{prefix}_log",
            bind=bind,
            help="Shows the first steps in more detail: steps 1 to 100 get as much space as 100 to 10,000.",
        )
        held = not ended and st.toggle("Freeze the curves", key=f"{prefix}_hold", help=text.read("hold_help"))
    left, right = st.columns([3, 2])
    with left.container(height=PANEL_HEIGHT, border=False):
        draw = functools.partial(curves.loss, history, log_x=log_x, height=PANEL_HEIGHT - 20)
        _plot(f"{prefix}_loss", draw, held)
    with right.container(height=PANEL_HEIGHT, border=True):
        _writing(history, prefix, ended)
    with st.container():
        _further_curves(history, prefix, log_x, held)


def _further_curves(history: History, prefix: str, log_x: bool, held: bool) -> None:
    """The story scores and the three curves that explain a loss, each behind its tab."""
    text = words.load("live")
    scored = any(sample.get("ladder") for sample in history.samples)
    names = [text.read("tab_steps"), *([text.read("tab_scores")] if scored else [])]
    tabs = st.tabs(names, key=f"{prefix}_further", on_change="rerun")
    if scored and tabs[1].open:
        with tabs[1]:
            draw = functools.partial(curves.story_scores, history, story_data.table_scores(), log_x=log_x)
            _plot(f"{prefix}_ladder", draw, held)
    if tabs[0].open:
        small = (curves.learning_rate, curves.gradient_norm, curves.speed)
        for curve, column in zip(small, tabs[0].columns(3), strict=True):
            with column:
                _plot(f"{prefix}_{curve.__name__}", functools.partial(curve, history), held)


def _plot(key: str, draw: Callable[[], figures.Picture], held: bool) -> None:
    """Draw a figure, or while it is held, the very one that was drawn last.

    Streamlit recreates a chart whenever its figure changes, whatever its key, and with it goes the reader's zoom.
    """
    kept = st.session_state.setdefault("held_figures", {})
    if not held or key not in kept:
        kept[key] = draw()
    picture = kept[key]
    figures.show(picture, key=key)


def _writing(history: History, prefix: str, ended: bool) -> None:
    """What the model wrote: the newest text while it trains, any of them once it is over."""
    if not history.samples:
        st.caption("The first generated text appears here.")
        return
    by_step = {sample["step"]: sample for sample in history.samples}
    at = history.samples[-1]["step"]
    if ended and len(by_step) > 1:
        key = f"{prefix}_sample_{history.name}"
        at = st.select_slider("Generated text at step", list(by_step), at, key=key)
    else:
        st.caption(f"Generated text at step {at:,}")
    st.text(by_step[at]["text"].strip() or "(only the end-of-text token)")


def use_button(run_id: str, key: str, **look: str) -> None:
    """A button that puts the model of a run on every page."""
    in_use = session.model_name() == run_id
    st.button(
        "In use on every page" if in_use else "Use this model on every page",
        key=key,
        icon=":material/check:" if in_use else ":material/swap_horiz:",
        disabled=in_use,
        on_click=session.use_model,
        args=(run_id,),
        **look,
    )


def use_or_download(run_id: str, prefix: str) -> None:
    """What a finished run offers: its model on every page, and as a file."""
    run = session.run_named(run_id)
    if run is None or not session.has_model(run):
        return
    with st.container(horizontal=True):
        use_button(run_id, f"{prefix}_use", type="primary")
        st.download_button(
            "Download the model",
            lambda: models.zipped(run.folder),
            file_name=f"glassbox-{run_id[:8]}.zip",
            mime="application/zip",
            key=f"{prefix}_download",
            icon=":material/download:",
            on_click="ignore",
        )
