"""A claim of the field on the page: what is said, what was measured here, how, and the verdict.

Measuring runs in a process of its own, one at a time on the machine. A claim nobody has measured here yet says
so and offers it; one that has been measured shows its result with the time it was taken and the machine's load.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pages.kit import figures, links, plots, words

if TYPE_CHECKING:
    from gptcore.claims import Claim, Result

EVERY_SECONDS = 1.0
ALL_QUICK = "all"  # in place of a claim's name: every claim that takes seconds, one after the other
ICONS = {
    "holds": (":material/check_circle:", "green"),
    "holds not": (":material/cancel:", "red"),
    "depends": (":material/balance:", "orange"),
}


def show(*names: str) -> None:
    """The claims of a chapter, one card each."""
    from gptcore import claims

    registry = claims.registry()
    for place in range(0, len(names), 2):
        for column, name in zip(st.columns(2, gap="small"), names[place : place + 2]):
            with column:
                st.fragment(_card, run_every=EVERY_SECONDS if is_busy(name) else None)(
                    registry[name], is_busy(name)
                )


def is_busy(name: str) -> bool:
    """Whether a claim is being measured, waits for its turn, or is about to."""
    from gptcore import claims

    return claims.is_under_way(name) or _starting(name)


def _starting(name: str) -> bool:
    """Whether this visitor's click has started a process that has not taken its lock yet."""
    child: subprocess.Popen | None = st.session_state.get(f"claim_{name}")
    return child is not None and child.poll() is None


def _card(claim: "Claim", was_busy: bool) -> None:
    from gptcore import claims

    text = words.load("measured")
    result, busy = claims.last_result(claim.name), is_busy(claim.name)
    with st.container(border=True, key=f"claim_{claim.name}_card"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"##### “{claim.slogan}”", anchors=False)
            if result is not None:
                icon, color = ICONS[result.verdict]
                st.badge(text.read("verdict", verdict=result.verdict), icon=icon, color=color)
        if result is not None:
            _found(claim, result, text)
        elif not busy:
            st.caption(text.read("never"))
        folded = st.expander(
            text.read("how_title"),
            key=f"claim_{claim.name}_how",
            icon=":material/science:",
            on_change="rerun",
        )
        if folded.open:
            with folded:
                st.markdown(text.read("how", how=claim.how, source=claim.source, transfers=claim.transfers))
                if result is not None:
                    _settings(claim, result)
        with st.container(horizontal=True, vertical_alignment="center"):
            measure_button(claim.name, text.read("again") if result else text.read("measure"))
            _state(claim, busy, text)
    if was_busy and not busy:
        st.rerun()


def measure_button(name: str, label: str) -> None:
    """The button that starts measuring a claim, or all the quick ones."""
    st.button(
        label,
        key=f"claim_{name}_measure",
        icon=":material/timer:",
        disabled=is_busy(name) or links.locked(f"claim_{name}"),
        on_click=_measure,
        args=(name,),
    )


def _state(claim: "Claim", busy: bool, text: words.Words) -> None:
    from gptcore import claims

    if busy:
        st.caption(f":shimmer[{text.read('running') if claim.kind == 'quick' else text.read('training')}]")
    elif claims.machine_is_busy():
        st.caption(text.read("machine_busy"))
    elif problem := st.session_state.get(f"claim_{claim.name}_problem"):
        st.error(problem, icon=":material/error:")


def _found(claim: "Claim", result: "Result", text: words.Words) -> None:
    st.markdown(
        text.read(
            "found",
            measured=plots.short(result.measured),
            unit=result.unit,
            headline=claim.headline,
            low=plots.short(result.spread[0]),
            high=plots.short(result.spread[1]),
            repetitions=result.repetitions,
        )
    )
    load = "–" if result.load is None else f"{result.load:.1f}"
    st.caption(
        text.read(
            "when",
            ago=ago(result.when),
            seconds=result.seconds,
            load=load,
            cores=result.cores,
            machine=result.machine,
        )
    )


def _settings(claim: "Claim", result: "Result") -> None:
    """Every setting that was measured, the middle of its repetitions as a bar."""
    bars = {name: values[0] for name, values in result.settings.items()}
    picture = plots.columns(
        list(bars), {result.unit: list(bars.values())}, y_title=result.unit, height=220, revision=claim.name
    )
    st.plotly_chart(picture.figure, key=f"claim_{claim.name}_bars", config=figures.CONFIG, alt=picture.alt)


def ago(when: str, now: datetime | None = None) -> str:
    """How long ago a moment was, as a person says it."""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(when)).total_seconds()
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def _measure(name: str) -> None:
    """Start measuring in a process of its own, which gives way to the pages. For callbacks."""
    from gptcore import claims

    root = str(Path(claims.__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    which = ["--quick"] if name == ALL_QUICK else ["--only", name]
    command = [sys.executable, "-m", "gptcore", "claims", *which, "--json"]
    try:
        claims.folder().mkdir(parents=True, exist_ok=True)
        with (claims.folder() / f"{name}.log").open("w", encoding="utf-8") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=os.environ | {"PYTHONPATH": paths},
            )
    except OSError as error:
        st.session_state[f"claim_{name}_problem"] = f"It cannot be measured: {error.strerror}."
        return
    st.session_state[f"claim_{name}"] = child
    st.session_state.pop(f"claim_{name}_problem", None)
