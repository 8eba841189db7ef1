"""A measured claim on the page: the statement, the verdict, the measured number, the method and the source.

Measuring runs in a separate process, one at a time on the machine, for all visitors (`claim_queue`). A claim that has
not been measured on this machine shows the result that comes with Glassbox, with its machine and date. A measured one
shows its own result with its time and the machine's load.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from gptcore.experiments import claim_queue, claims, shipped_results
from gptcore.experiments.claims import Claim, Result
from pages.kit import escape, figures, links, plots, session, visitor, words

EVERY_SECONDS = 1.0
OPEN = 2  # claims of a chapter that are open; the others are in an expander
ICONS = {
    "holds": (":material/check_circle:", "green"),
    "holds not": (":material/cancel:", "red"),
    "depends": (":material/balance:", "orange"),
}
_PROBLEM = "claims_problem"


def cards(*names: str) -> None:
    """The claims of a chapter, one card each: the first two open, the others drawn once their expander is opened."""
    _rows(names[:OPEN])
    if rest := names[OPEN:]:
        _further(rest)


@st.fragment
def _further(names: Sequence[str]) -> None:
    folded = st.expander(
        f"{len(names)} more claims to measure",
        key=f"claims_{names[0]}_further",
        icon=":material/timer:",
        on_change="rerun",
    )
    if folded.open:
        with folded:
            _rows(names)


def _rows(names: Sequence[str]) -> None:
    registry = claims.registry()
    for start in range(0, len(names), 2):
        for column, name in zip(st.columns(2, gap="small"), names[start : start + 2]):
            busy = claim_queue.state(name) is not None
            with column:
                st.fragment(_card, run_every=EVERY_SECONDS if busy else None)(registry[name], busy)


def _card(claim: Claim, was_busy: bool) -> None:
    text = words.load("measured")
    own, state = claims.last_result(claim.name), claim_queue.state(claim.name)
    result = own or shipped_results.shipped_result(claim.name)
    with st.container(border=True, key=f"claim_{claim.name}_card"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"##### “{claim.slogan}”", anchors=False)
            if result is not None:
                icon, color = ICONS[result.verdict]
                st.badge(
                    text.read("verdict", verdict=claims.VERDICT_NAMES[result.verdict]), icon=icon, color=color
                )
        if result is not None:
            _show_result(claim, result, text, own=own is not None)
        elif state is None:
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
            if state is None:
                label = text.read("again") if own else text.read("measure")
                measure_button([claim.name], label, key=f"claim_{claim.name}_measure")
            else:
                stop_button([claim.name], text.read("stop"), key=f"claim_{claim.name}_stop")
            _state(claim, state, text)
    if was_busy != (state is not None):
        st.rerun()  # starts or ends the timer of the fragment


def measure_button(names: Sequence[str], label: str, *, key: str) -> None:
    """The button that requests measurements of claims, one after the other."""
    st.button(
        label,
        key=key,
        icon=":material/timer:",
        disabled=not names or links.locked(key.removesuffix("_measure")),
        on_click=_request,
        args=(tuple(names),),
    )


def stop_button(names: Sequence[str], label: str, *, key: str) -> None:
    """The button that withdraws this visitor's requests; nothing if only others requested these claims."""
    mine = [name for name in claim_queue.open_claims(owner=visitor.visitor_id()) if name in names]
    if mine:
        st.button(label, key=key, icon=":material/stop_circle:", on_click=_withdraw, args=(tuple(mine),))


def _request(names: tuple[str, ...]) -> None:
    """Request measurements; of several claims, those that this machine can measure. For callbacks."""
    st.session_state.pop(_PROBLEM, None)
    try:
        can = [name for name in names if claims.can_be_measured(claims.get_claim(name))]
        claim_queue.submit_claims(can or names, owner=visitor.visitor_id())
        session.poll_queue()
    except (ValueError, OSError) as error:
        st.session_state[_PROBLEM] = (names, str(error))


def _withdraw(names: tuple[str, ...]) -> None:
    """Withdraw requests. For callbacks."""
    claim_queue.withdraw_claims(names, owner=visitor.visitor_id())


def progress_bar(name: str, words_below: str) -> None:
    """The progress of a claim's measurement; a line of text if the measurement does not report it."""
    fraction = claim_queue.fraction_done(name)
    if fraction is None:
        st.caption(f":shimmer[{words_below}]")
    else:
        st.progress(min(1.0, fraction), text=words_below)


def last_problem(names: Sequence[str]) -> str | None:
    """The error of the last measurement of these claims, in one sentence, or None."""
    requested, problem = st.session_state.get(_PROBLEM, ((), None))
    if problem is not None and set(requested) & set(names):
        return problem
    return next(filter(None, map(claim_queue.problem, names)), None)


def _state(claim: Claim, state: str | None, text: words.Words) -> None:
    if state == "measuring":
        quick = claim.kind == "quick"
        progress_bar(claim.name, text.read("running") if quick else text.read("training"))
    elif state == "waiting":
        st.caption(text.read("waiting"))
    elif problem := last_problem([claim.name]):
        st.error(escape.sentence(problem), icon=":material/error:")
    elif claims.machine_is_busy():
        st.caption(text.read("machine_busy"))


def _show_result(claim: Claim, result: Result, text: words.Words, *, own: bool) -> None:
    where = text.read("here") if own else text.read("there", machine=result.machine, date=date(result.when))
    measured, headline = plots.short(result.measured), claim.label(claim.headline)
    if result.repetitions == 1:
        line = text.read("found_once", where=where, measured=measured, unit=claim.unit, headline=headline)
    else:
        line = text.read(
            "found",
            where=where,
            measured=measured,
            unit=claim.unit,
            headline=headline,
            low=plots.short(result.spread[0]),
            high=plots.short(result.spread[1]),
            repetitions=result.repetitions,
        )
    st.markdown(line)
    if claims.is_outdated(result):
        st.warning(text.read("outdated"), icon=":material/update:")
    if result.within_noise:
        st.caption(
            text.read(
                "noise",
                settings=", ".join(map(claim.label, result.within_noise)),
                nothing=f"{claim.nothing:g}",
            )
        )
    st.caption(_circumstances(result, text, own=own))


def _circumstances(result: Result, text: words.Words, *, own: bool) -> str:
    """When and on which machine a result was measured; the card names the machine of a shipped result elsewhere."""
    load = "–" if result.load is None else f"{result.load:.1f}"
    torch = result.versions.get("torch", "–")
    if not own:
        return text.read("shipped", seconds=result.seconds, load=load, cores=result.cores, torch=torch)
    return text.read(
        "when",
        ago=ago(result.when),
        seconds=result.seconds,
        load=load,
        cores=result.cores,
        machine=result.machine,
        torch=torch,
    )


def _settings(claim: Claim, result: Result) -> None:
    """A bar for each setting: the median of its repetitions."""
    bars = {claim.label(name): values[0] for name, values in result.settings.items()}
    picture = plots.columns(
        list(bars), {claim.unit: list(bars.values())}, y_title=claim.unit, height=220, revision=claim.name
    )
    figures.show(picture, key=f"claim_{claim.name}_bars")


def date(when: str) -> str:
    """The date of an ISO timestamp.

    >>> date("2026-03-01T12:00:00+00:00")
    '1 March 2026'
    """
    day = datetime.fromisoformat(when)
    return f"{day.day} {day:%B %Y}"


def ago(when: str, now: datetime | None = None) -> str:
    """The time since an ISO timestamp, such as `3 hours ago`."""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(when)).total_seconds()
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"
