"""How a match is judged, and the finished matches."""

from datetime import datetime

import streamlit as st

from gptcore.experiments import arena, arena_records
from gptcore.experiments.played_matches import all_played
from pages.kit import words


def judging_rule() -> None:
    """Show the rule by which a match is judged."""
    n = len(arena.SEEDS)
    words.load("arena").show(
        "rule",
        chance=arena.CHANCE,
        n=n,
        freedom=2 * n - 2,
        needed=arena.standard_errors_needed(n, arena.CHANCE),
    )


def past_matches() -> None:
    """Every finished match of this runs folder, and those that come with Glassbox."""
    text = words.load("arena")
    own = [(record, text.read("held_here")) for record in arena_records.all_records()]
    rows = []
    for record, machine in [*own, *((played.record, played.machine) for played in all_played())]:
        winner = dict(zip(arena.ARMS, record.names)).get(record.winner, "–")
        rows.append(
            {
                "A": record.names[0],
                "B": record.names[1],
                "Settings": record.terms,
                "Verdict": record.verdict,
                "Lower loss": winner,
                "By (nats per token)": record.difference,
                "Machine": machine,
                "Date": f"{datetime.fromtimestamp(record.when):%d %b %H:%M}",
            }
        )
    st.dataframe(
        rows,
        key="arena_held",
        hide_index=True,
        column_config={"By (nats per token)": st.column_config.NumberColumn(format="%.3f")},
        alt=text.read("held_alt", n=len(rows)),
    )
