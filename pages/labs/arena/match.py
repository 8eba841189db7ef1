"""The arena: two architectures made equal, their runs, and what they show."""

from datetime import UTC, datetime

import streamlit as st

from gptcore.experiments import arena, arena_records
from gptcore.experiments.played_matches import PlayedMatch, find_played
from pages.kit import claim, curves, escape, lab, live, words
from pages.labs.arena.entries import GOING, entries_of, request_runs, seconds_of, start_or_stop
from pages.labs.arena.results import abilities, at_their_best, learning_curves, rates, samples, show_verdict
from pages.labs.arena.terms import choose_terms, show_adjustment, show_equalized

EVERY_SECONDS = 2.0


@st.fragment
def the_match() -> None:
    """The settings, the two arms made equal, their runs and results."""
    text = words.load("arena")
    with lab.frame("arena", text.read("lab_title")):
        match, names = choose_terms(text)
        if match is None:
            return
        even = arena.equalize(match)
        show_adjustment(text, match, even)
        entries = entries_of(match)
        alive = any(entry.alive for entry in entries)
        with start_or_stop(text, match, even, entries):
            st.fragment(progress, run_every=EVERY_SECONDS if alive else None)(match)
        show_equalized(text, match, even, names)
    st.fragment(match_progress, run_every=EVERY_SECONDS if alive else None)(match, names, alive)


def match_progress(match: arena.Match, names: tuple[str, str], was_alive: bool) -> None:
    """The progress of the runs and the results of finished ones; refreshes while any is under way."""
    text = words.load("arena")
    if st.session_state.get(GOING) == arena_records.match_key(match):
        request_runs(match, again=False)
    entries = entries_of(match)
    alive = any(entry.alive for entry in entries)
    results = [
        arena.Result(entry.planned.arm, entry.planned.rate, entry.planned.seed, entry.loss)
        for entry in entries
        if entry.loss is not None
    ]
    histories = {entry.planned.name: entry.history for entry in entries if entry.loss is not None}
    record, played = arena_records.find_record(match), find_played(match)
    if record is not None and len(results) < len(entries) and not alive:
        text.show("kept_only", when=f"{datetime.fromtimestamp(record.when):%d %b %H:%M}")
        results = list(record.results)
    elif played is not None and not results and not alive:
        show_played(text, played)
        results = list(played.record.results)
        histories = {name: curves.History.of(events, name) for name, events in played.events.items()}
    verdict = arena.judge(results, match)
    if verdict.word != "open" and len(histories) == len(entries) and record is None:
        terms = arena_records.terms(match)
        arena_records.save_record(match, names, terms, results, verdict)
    if results:
        show_verdict(text, verdict, names)
        rates(text, match, results, names)
    show_runs(text, match, results, histories, names)
    if was_alive != alive:
        st.rerun()


def show_played(text: words.Words, played: PlayedMatch) -> None:
    """Where, when and with which versions the shipped match was played."""
    text.show(
        "played",
        machine=played.machine,
        cores=played.cores,
        date=claim.date(datetime.fromtimestamp(played.record.when, UTC).isoformat()),
        versions=", ".join(f"{name} {version}" for name, version in played.versions.items()),
    )


def show_runs(
    text: words.Words,
    match: arena.Match,
    results: list[arena.Result],
    known_histories: dict[str, curves.History],
    names: tuple[str, str],
) -> None:
    """Curves, story scores and samples of the runs at both arms' best learning rates, if their events are kept."""
    best = at_their_best(results)
    histories = {
        name: [
            known_histories[planned.name]
            for planned in arena.plan(match)
            if planned.arm == arm and planned.rate == best.get(arm) and planned.name in known_histories
        ]
        for arm, name in zip(arena.ARMS, names)
    }
    if all(histories.values()):
        learning_curves(text, histories)
        abilities(text, histories)
        samples(text, histories)


def progress(match: arena.Match) -> None:
    """The progress of the match, as a bar and a sentence, and the errors of failed runs."""
    text, entries = words.load("arena"), entries_of(match)
    over = [entry for entry in entries if entry.loss is not None]
    alive = [entry for entry in entries if entry.alive]
    if alive:
        done = sum(1.0 if entry.loss is not None else entry.history.fraction_done for entry in entries)
        training = [entry.planned.name for entry in alive if entry.history.start] or [alive[0].planned.name]
        left = live.duration(seconds_of(match, arena.equalize(match), entries))
        st.progress(
            min(1.0, done / len(entries)),
            text=text.read("running", over=len(over), n=len(entries), now=", ".join(training), left=left),
        )
    failed = [
        entry for entry in entries if entry.loss is None and entry.run is not None and entry.run.failure()
    ]
    for sentence in dict.fromkeys(entry.run.failure() for entry in failed):
        st.error(escape.sentence(sentence), icon=":material/error:")
