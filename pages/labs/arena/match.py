"""The arena: two architectures made equal, their runs, and what they show."""

from datetime import datetime

import streamlit as st

from gptcore.experiments import arena, arena_records
from pages.kit import escape, lab, live, words
from pages.labs.arena.entries import GOING, entries_of, request_runs, seconds_of, start_or_stop
from pages.labs.arena.results import abilities, at_their_best, learning_curves, rates, samples, show_verdict
from pages.labs.arena.terms import choose_terms, show_adjustment, show_equalized

EVERY_SECONDS = 2.0


@st.fragment
def the_match() -> None:
    """The terms, the two arms made equal, their runs and what these come to."""
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
    """How the runs go, and what those that are over come to; renews itself while any is under way."""
    text = words.load("arena")
    if st.session_state.get(GOING) == arena_records.match_key(match):
        request_runs(match, again=False)
    entries = entries_of(match)
    results = [
        arena.Result(entry.planned.arm, entry.planned.rate, entry.planned.seed, entry.loss)
        for entry in entries
        if entry.loss is not None
    ]
    record = arena_records.find_record(match)
    if record is not None and len(results) < len(entries) and not any(entry.alive for entry in entries):
        text.show("kept_only", when=f"{datetime.fromtimestamp(record.when):%d %b %H:%M}")
        results = list(record.results)
    verdict = arena.judge(results, match)
    if verdict.word != "open" and record is None:
        arena_records.save_record(match, names, terms_sentence(text, match), results, verdict)
    if results:
        show_verdict(text, verdict, names)
        rates(text, match, results, names)
    best = at_their_best(results)
    if all(arm in best for arm in arena.ARMS):
        told = {
            name: [
                entry.history
                for entry in entries
                if entry.planned.arm == arm and entry.planned.rate == best[arm] and entry.loss is not None
            ]
            for arm, name in zip(arena.ARMS, names)
        }
        if all(told.values()):
            learning_curves(text, told)
            abilities(text, told)
            samples(text, told)
    if was_alive != any(entry.alive for entry in entries):
        st.rerun()


def progress(match: arena.Match) -> None:
    """How far the match is, in a bar and a sentence; sentences of runs that ended badly."""
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


def terms_sentence(text: words.Words, match: arena.Match) -> str:
    """The terms of a match in a line."""
    length = f"{match.train.seconds:g} s" if match.train.seconds else f"{match.train.steps} steps"
    shape = f"{match.a.d_model} × {match.a.n_layers}"
    return text.read("terms", equal=match.equal_in, length=length, shape=shape, seeds=len(match.seeds),
                     rates=len(match.rates))  # fmt: skip
