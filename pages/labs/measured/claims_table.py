"""All claims with their verdicts in one table, and the cards of a chapter."""

import json
import os
from collections.abc import Mapping

import streamlit as st

from gptcore.experiments import claim_queue, claims, results_table, shipped_results
from gptcore.experiments.claims import Claim, Result
from gptcore.experiments.machine import processor
from gptcore.resources import available_cores
from pages.kit import book, claim, controls, escape, visitor, words

EVERY_SECONDS = 2.0


def machine_line() -> None:
    """This machine and its load, which every measured time depends on."""
    (name, n_bytes), versions = processor(), claims.versions()
    st.caption(
        words.load("measured").read(
            "ledger_machine",
            name=name,
            cores=available_cores(),
            memory=f"{n_bytes / 1e9:.0f} GB" if n_bytes else "–",
            load=f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "–",
            python=versions["python"],
            torch=versions["torch"],
            glassbox=versions["glassbox"],
        )
    )


def claims_table() -> None:
    """A row for each claim with its verdict; it refreshes during a measurement."""
    busy = bool(claim_queue.open_claims())
    st.fragment(_ledger, run_every=EVERY_SECONDS if busy else None)(busy)


def _ledger(was_busy: bool) -> None:
    text, registry = words.load("measured"), claims.registry()
    own = {name: result for name in registry if (result := claims.last_result(name)) is not None}
    results = {name: own.get(name) or shipped_results.shipped_result(name) for name in registry}
    st.dataframe(
        [_row(entry, results[name], text, own=name in own) for name, entry in registry.items()],
        key="measured_table",
        hide_index=True,
        column_config={
            "Claim": st.column_config.TextColumn(width="large"),
            **{name: st.column_config.NumberColumn(format="%.3g") for name in ("Measured", "From", "To")},
        },
        alt=text.read("ledger_alt", n=len(registry), done=len(own)),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        _start_and_stop(registry, text)
        _save([result for result in results.values() if result is not None], text)
    requested = claim_queue.open_claims()
    with st.container():
        if requested:
            claim.progress_bar(
                requested[0],
                text.read("ledger_running", slogan=registry[requested[0]].slogan, waiting=len(requested) - 1),
            )
        elif problem := claim.last_problem(list(registry)):
            st.error(escape.sentence(problem), icon=":material/error:")
    if was_busy != bool(requested):
        st.rerun()


def _row(entry: Claim, result: Result | None, text: words.Words, *, own: bool) -> dict[str, object]:
    if result is None:
        where, taken = "", ""
    elif own:
        where, taken = text.read("ledger_here"), claim.ago(result.when)
    else:
        where, taken = result.machine, claim.date(result.when)
    return {
        "Chapter": entry.chapter,
        "Verdict": claims.VERDICT_NAMES[result.verdict] if result else "Not measured",
        "Claim": entry.slogan,
        "Measured": result.measured if result else None,
        "From": result.spread[0] if result else None,
        "To": result.spread[1] if result else None,
        "Unit": entry.unit,
        "Machine": where,
        "Date": taken,
        "Within noise": ", ".join(map(entry.label, result.within_noise)) if result else "",
        "Duration": "seconds" if entry.kind == "quick" else "1–2 minutes",
        "Source": entry.source,
    }


def _start_and_stop(registry: Mapping[str, Claim], text: words.Words) -> None:
    """Buttons that measure the quick claims or all, or stop this visitor's measurements."""
    quick = [name for name, entry in registry.items() if entry.kind == "quick"]
    if claim_queue.open_claims(owner=visitor.visitor_id()):
        claim.stop_button(list(registry), text.read("ledger_stop"), key="measured_stop")
    else:
        claim.measure_button(quick, text.read("ledger_quick"), key="measured_quick")
        claim.measure_button(list(registry), text.read("ledger_all"), key="measured_all")


def _save(results: list[Result], text: words.Words) -> None:
    forms = {
        "JSON": (json.dumps([result.to_dict() for result in results], indent=1, ensure_ascii=False), "json"),
        "CSV": (results_table.to_csv(results), "csv"),
        "Markdown": (results_table.to_markdown(results), "markdown"),
    }
    for name, (data, kind) in forms.items():
        st.download_button(
            text.read("ledger_save", form=name),
            data,
            f"measured.{'md' if kind == 'markdown' else kind}",
            f"text/{kind}" if kind != "json" else "application/json",
            key=f"measured_save_{kind}",
            icon=":material/download:",
            on_click="ignore",
        )


@st.fragment
def chapter_cards() -> None:
    """The claims of one chapter, each with how it is measured and a button."""
    text, registry = words.load("measured"), claims.registry()
    chapters = sorted({entry.chapter for entry in registry.values()})
    names = {f"{chapter} · {book.CHAPTERS[chapter]}": chapter for chapter in chapters}
    chosen = names[controls.dropdown(text.read("ledger_chapter"), "m_chapter", list(names))]
    claim.cards(*(name for name, entry in registry.items() if entry.chapter == chosen))
