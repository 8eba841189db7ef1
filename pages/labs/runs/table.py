"""The parts of the page of runs: the list, one run, several side by side, everything as one zip."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import streamlit as st

from gptcore.runs.limits import Limits
from pages.kit import curves, event_log, figures, links, live, progress, session, visitor, words
from pages.kit.history import History
from pages.labs.training import train

if TYPE_CHECKING:
    from gptcore.runs.run import Run

COMPARE = "runs_compared"  # in the URL: the ids of the runs that are compared
AGAINST = tuple(curves.AGAINST)
MOST_COMPARED = 6
SPARK_POINTS = 40
LIST_SECONDS = 3.0
_SAID = "runs_said"
_PROBLEM = "runs_problem"


def every_run() -> None:
    """The list, newest first; while anything is under way it renews itself."""
    busy = any(session.is_under_way(run) for run in session.runs())
    st.fragment(_list, run_every=LIST_SECONDS if busy else None)(busy)


def _list(was_busy: bool) -> None:
    text = words.load("runs")
    runs = session.runs()
    if not runs:
        st.info(text.read("none"), icon=":material/inbox:")
        return
    st.dataframe(
        [_row(run) for run in runs],
        key="runs_list",
        hide_index=True,
        column_config={
            "Loss curve": st.column_config.LineChartColumn(
                help="Validation loss, from the first look to the last."
            ),
            "Loss": st.column_config.NumberColumn(format="%.3f", help="Validation loss in nats per token."),
            "Grammar": st.column_config.NumberColumn(
                format="percent", help="Share of its sentences the story grammar accepts."
            ),
            "Parameters": st.column_config.NumberColumn(format="localized"),
        },
    )
    if any(run.request().get("lab") for run in runs):
        st.caption(text.read("labs"))
    if was_busy and not any(session.is_under_way(run) for run in runs):
        st.rerun()


def _row(run: "Run") -> dict[str, Any]:
    history = event_log.read(run.folder)
    config = run.config()
    model = config.get("model", {})
    state = run.state()
    scored = [sample["ladder"] for sample in history.samples if sample.get("ladder")]
    place = session.place_in_queue(run) if state == "waiting" else None
    return {
        "Run": run.name() or run.id[:8],
        "State": f"waiting, place {place}" if place else state,
        "Loss curve": _spark(history),
        "Loss": history.val_loss[-1] if history.val_loss else None,
        "Grammar": scored[-1]["rate"] if scored else None,
        "Text": config.get("corpus_name", ""),
        "Shape": f"{model['d_model']} × {model['n_layers']}" if model else "",
        "Parameters": history.start.get("n_parameters"),
        "Step": f"{history.last_step:,} of {history.total_steps:,}" if history.start else "",
        "Began": f"{datetime.fromtimestamp(run.born()):%d %b %H:%M}",
    }


def _spark(history: History) -> list[float]:
    values = history.val_loss if len(history.val_loss) > 2 else history.loss
    _, few = figures.thin(range(len(values)), values, SPARK_POINTS)
    return few


def one_run() -> None:
    """The run of the link or of the list, live; with what its owner may do to it."""
    text = words.load("runs")
    choices = {run.id: run for run in [*session.runs(), *session.linked()]}
    if not choices:
        return
    text.show("one")
    asked = links.kept("run")
    # Set anew in each run of the page, so that a link, and back and forward in the browser, count.
    st.session_state["runs_one"] = asked if asked in choices else next(iter(choices))
    st.selectbox(
        "Run", list(choices), key="runs_one", format_func=lambda one: _label(choices[one]), on_change=_look
    )
    run = choices[st.session_state["runs_one"]]
    live.view(run, "runs")
    if not session.is_under_way(run):
        train.keep(run.id, "runs")
    if visitor.asked_for(run):
        _change(run)


def _label(run: "Run") -> str:
    return session.label(run) + ("" if visitor.asked_for(run) else " (by link)")


def _look() -> None:
    session.view_run(st.session_state["runs_one"])


def _change(run: "Run") -> None:
    """Give a run a name, or delete it."""
    name, rename, delete = st.columns([6, 2, 2], vertical_alignment="bottom")
    name.text_input("Name", run.name(), key=f"runs_name_{run.id}", max_chars=60)
    rename.button(
        "Rename",
        key="runs_rename",
        icon=":material/edit:",
        disabled=not visitor.owns(run),
        on_click=_rename,
        args=(run,),
        width="stretch",
    )
    delete.button(
        "Delete",
        key="runs_delete",
        icon=":material/delete:",
        disabled=session.is_under_way(run),
        on_click=_delete,
        args=(run,),
        width="stretch",
        help="Removes the run and its model. A run that others asked for too only leaves your list.",
    )
    if problem := st.session_state.pop(_PROBLEM, None):
        st.error(problem, icon=":material/error:")


def _rename(run: "Run") -> None:
    from gptcore.runs.run import rename

    _try(rename, run, st.session_state[f"runs_name_{run.id}"])


def _delete(run: "Run") -> None:
    _try(session.delete_run, run)
    session.view_run(None)


def _try(act, *arguments) -> None:
    """Do what a button says; what cannot be done is told under it."""
    try:
        act(*arguments)
    except (ValueError, OSError) as error:
        st.session_state[_PROBLEM] = str(error)


@st.fragment
def compare() -> None:
    """Several runs: their losses over one another, in what they differ, what they write."""
    text = words.load("runs")
    choices = {run.id: run for run in [*session.runs(), *_asked_to_compare(), *session.linked()]}
    if len(choices) < 2:
        return
    text.show("compare")
    asked = [one for one in st.query_params.get(COMPARE, "").split(",") if one in choices]
    if "runs_picked" not in st.session_state:
        st.session_state["runs_picked"] = asked[:MOST_COMPARED]
    else:  # a run may have been deleted meanwhile
        kept = [one for one in st.session_state["runs_picked"] if one in choices]
        st.session_state["runs_picked"] = kept
    picked = st.multiselect(
        "Runs to compare",
        list(choices),
        key="runs_picked",
        format_func=lambda one: _label(choices[one]),
        max_selections=MOST_COMPARED,
        placeholder="Choose two or more",
    )
    links.write(COMPARE, ",".join(picked), "")
    if len(picked) < 2:
        return
    links.check("runs_against", links.Choice(AGAINST))
    against = st.segmented_control(
        "Against", AGAINST, default=AGAINST[0], key="runs_against", bind="query-params", required=True
    )
    runs = [choices[one] for one in picked]
    histories = {_label(run): event_log.read(run.folder) for run in runs}
    figure, alt = curves.comparison(histories, against=against)
    st.plotly_chart(figure, key="runs_comparison", config=figures.CONFIG, alt=alt)
    _differences(runs, list(histories))
    for place, (label, history) in zip(st.columns(len(runs)), histories.items()):
        with place.container(height=220, border=True):
            st.caption(label)
            if history.samples:
                st.text(history.samples[-1]["text"].strip() or "(nothing but the end-of-text token)")


def _asked_to_compare() -> "list[Run]":
    found = [session.run_named(one) for one in st.query_params.get(COMPARE, "").split(",")[:MOST_COMPARED]]
    return [run for run in found if run is not None]


def _differences(runs: "list[Run]", labels: list[str]) -> None:
    from gptcore.runs.run import differences

    text = words.load("runs")
    different = differences(runs)
    if not different:
        st.caption(text.read("equal"))
        return
    st.dataframe(
        [
            {"Choice": field} | {label: _shown(value) for label, value in zip(labels, row)}
            for field, row in different.items()
        ],
        key="runs_differences",
        hide_index=True,
    )


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)


@st.fragment
def my_work() -> None:
    """Runs, progress and settings as one zip, down and up."""
    text = words.load("runs")
    st.download_button(
        "Download my work",
        _packed,
        file_name="glassbox-my-work.zip",
        mime="application/zip",
        key="runs_pack",
        icon=":material/download:",
        on_click="ignore",
        disabled=not session.runs(),
    )
    brought = st.file_uploader(
        "Bring my work back",
        type="zip",
        key="runs_bring",
        max_upload_size=Limits.from_environment().file_widget_mb,
        help=text.read("bring_help"),
    )
    if brought is not None and st.button("Unpack", key="runs_unpack", icon=":material/unarchive:"):
        _unpack(brought.getvalue())
    if said := st.session_state.pop(_SAID, None):
        st.success(said, icon=":material/check:")


def _packed() -> bytes:
    from gptcore.runs.archive import pack

    about = {
        "progress": {"passed": sorted(progress.passed())},
        "settings": {key: value for key in ("seed", "present") if (value := links.kept(key))},
    }
    return pack(session.runs(), about)


def _unpack(data: bytes) -> None:
    from gptcore.runs.archive import unpack

    text = words.load("runs")
    try:
        runs, about = unpack(data, owner=visitor.me())
    except (ValueError, OSError) as error:
        st.error(str(error), icon=":material/error:")
        return
    passed = (about.get("progress") or {}).get("passed") if isinstance(about.get("progress"), dict) else None
    names = [name for name in passed or [] if isinstance(name, str) and len(name) < 60]
    if names:
        progress.tick(*names)
    settings = about.get("settings")
    for key in ("seed", "present"):
        if isinstance(settings, dict) and isinstance(value := settings.get(key), str) and len(value) < 40:
            links.keep(key, value)
    st.session_state[_SAID] = text.read("brought", runs=len(runs), checks=len(names))
    st.rerun()
