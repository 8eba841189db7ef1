"""All claims at once: what each came to here, all of them in one table, and the cards of a chapter."""

import json

import streamlit as st

from pages.kit import book, claim, controls, words

EVERY_SECONDS = 3.0


def every_claim() -> None:
    """A row for each claim with its verdict on this machine; it renews itself while something is measured."""
    busy = claim.is_busy(claim.ALL_QUICK)
    st.fragment(_ledger, run_every=EVERY_SECONDS if busy else None)(busy)


def _ledger(was_busy: bool) -> None:
    from gptcore import claims

    text, found = words.load("measured"), claims.registry()
    results = {name: claims.last_result(name) for name in found}
    done = [result for result in results.values() if result is not None]
    rows = [
        {
            "Chapter": one.chapter,
            "What is said": one.slogan,
            "Verdict": result.verdict if result else "not measured",
            "Measured": result.measured if result else None,
            "From": result.spread[0] if result else None,
            "To": result.spread[1] if result else None,
            "Unit": one.unit,
            "Taken": claim.ago(result.when) if result else "",
            "Takes": "seconds" if one.kind == "quick" else "minutes",
        }
        for one, result in ((found[name], results[name]) for name in found)
    ]
    st.dataframe(
        rows,
        key="measured_table",
        hide_index=True,
        column_config={
            "What is said": st.column_config.TextColumn(width="large"),
            **{name: st.column_config.NumberColumn(format="%.3g") for name in ("Measured", "From", "To")},
        },
        alt=text.read("ledger_alt", n=len(found), done=len(done)),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        claim.measure_button(claim.ALL_QUICK, text.read("ledger_all"))
        st.download_button(
            text.read("ledger_save"),
            json.dumps([result.to_dict() for result in done], indent=1),
            "measured.json",
            "application/json",
            key="measured_save",
            icon=":material/download:",
            disabled=not done,
            on_click="ignore",
        )
        if claim.is_busy(claim.ALL_QUICK):
            st.caption(f":shimmer[{text.read('ledger_running', done=len(done), n=len(found))}]")
    if was_busy and not claim.is_busy(claim.ALL_QUICK):
        st.rerun()


@st.fragment
def cards() -> None:
    """The claims of one chapter, each with how it is measured and a button."""
    from gptcore import claims

    text, found = words.load("measured"), claims.registry()
    chapters = sorted({one.chapter for one in found.values()})
    names = {f"{chapter} · {book.CHAPTERS[chapter]}": chapter for chapter in chapters}
    chosen = names[controls.listed(text.read("ledger_chapter"), "m_chapter", list(names))]
    claim.show(*(name for name, one in found.items() if one.chapter == chosen))
