"""The list of runs."""

from datetime import datetime
from typing import Any

import streamlit as st

from gptcore.runs.run import Run
from pages.kit import event_log, figures, session, words
from pages.kit.history import History

SPARK_POINTS = 40
LIST_SECONDS = 3.0


def run_list() -> None:
    """The list, newest first; it refreshes while a run is under way."""
    busy = any(run.is_under_way() for run in session.my_runs())
    st.fragment(_list, run_every=LIST_SECONDS if busy else None)(busy)


def _list(was_busy: bool) -> None:
    text = words.load("runs")
    runs = session.my_runs()
    if not runs:
        st.info(text.read("none"), icon=":material/inbox:")
        return
    st.dataframe(
        [_row(run) for run in runs],
        key="runs_list",
        hide_index=True,
        column_config={
            "Loss curve": st.column_config.LineChartColumn(
                help="Validation loss, from the first evaluation to the last."
            ),
            "Loss": st.column_config.NumberColumn(format="%.3f", help="Validation loss in nats per token."),
            "Grammar": st.column_config.NumberColumn(
                format="percent", help="Fraction of its sentences that the story grammar accepts."
            ),
            "Parameters": st.column_config.NumberColumn(format="localized"),
        },
    )
    if any(run.request().get("lab") for run in runs):
        st.caption(text.read("labs"))
    if was_busy and not any(run.is_under_way() for run in runs):
        st.rerun()


def _row(run: "Run") -> dict[str, Any]:
    history = event_log.read(run.folder)
    config = run.config()
    model = config.get("model", {})
    state = run.state()
    scored = [sample["ladder"] for sample in history.samples if sample.get("ladder")]
    position = session.position_in_queue(run) if state == "waiting" else None
    return {
        "Run": run.name() or run.id[:8],
        "State": f"waiting, position {position}" if position else state,
        "Loss curve": _spark(history),
        "Loss": history.val_loss[-1] if history.val_loss else None,
        "Grammar": scored[-1]["rate"] if scored else None,
        "Text": config.get("corpus_name", ""),
        "Shape": f"{model['d_model']} × {model['n_layers']}" if model else "",
        "Parameters": history.start.get("n_parameters"),
        "Step": f"{history.last_step:,} of {history.total_steps:,}" if history.start else "",
        "Started": f"{datetime.fromtimestamp(run.requested_at()):%d %b %H:%M}",
    }


def _spark(history: History) -> list[float]:
    values = history.val_loss if len(history.val_loss) > 2 else history.loss
    _, few = figures.thin(range(len(values)), values, SPARK_POINTS)
    return few
