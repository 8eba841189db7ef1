"""The parts of the arena: who meets whom, on which terms, how the runs go, and what they come to."""

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from gptcore.account import parameters
from gptcore.config import BIASES, NORM_POSITIONS, PRESETS, ConfigError
from gptcore.experiments import arena, config_diff
from gptcore.feedforward import FEEDFORWARDS
from gptcore.norms import NORMS
from gptcore.positions import POSITIONS
from pages.kit import controls, curves, event_log, figures, lab, links, live, plots, session, visitor, words
from pages.labs.arena import cached

if TYPE_CHECKING:
    from gptcore.runs.run import Run

STYLE, SIZE = "as the style", "as the size"  # a field that is not changed
PARTS: dict[str, tuple[str, ...]] = {
    "norm": tuple(NORMS),
    "norm_position": NORM_POSITIONS,
    "ffn": tuple(FEEDFORWARDS),
    "position": tuple(POSITIONS),
    "bias": BIASES,
    "qk_norm": ("true", "false"),
    "tie_embeddings": ("true", "false"),
}
SHAPE: dict[str, tuple[int, ...]] = {
    "d_model": (32, 48, 64, 96, 128, 192),
    "n_layers": (1, 2, 3, 4, 6, 8),
    "n_heads": (1, 2, 3, 4, 8),
    "n_kv_heads": (1, 2, 4, 8),
}
SIZES = ("pico", "micro", "nano")
LENGTHS = {"steps": (100, 200, 300, 600, 1200), "seconds": (10, 20, 30, 60, 120)}
SEEDS = (2, 3, 5, 8)
MIDDLE_RATES = ("0.001", "0.002", "0.005", "0.01", "0.02")
APART = 2.5  # times: how far the lower and the higher rate lie from the middle one
AGAINST = tuple(curves.AGAINST)
EVERY_SECONDS = 2.0
STARTING_SECONDS = 4.0  # of a run: its process, the text, the last look
OPTIMIZERS = {"adamw": "AdamW", "muon": "Muon"}
PROBLEM, GOING = "arena_problem", "arena_going"
DEFAULT_STYLE = dict(zip(arena.ARMS, arena.STYLES))


class Entry(NamedTuple):
    """One run of the match as it stands: what was planned, the run where there is one, what it has told."""

    planned: arena.Planned
    run: "Run | None"
    history: curves.History

    @property
    def loss(self) -> float | None:
        """The last validation loss of a run that is over."""
        if not self.history.end:
            return None
        looked = [{"event": "eval", "val_loss": value} for value in self.history.val_loss[-1:]]
        loss = arena.last_loss([*looked, self.history.end])
        return math.inf if loss is not None and math.isnan(loss) else loss

    @property
    def alive(self) -> bool:
        return self.run is not None and session.is_under_way(self.run)


@st.fragment
def the_match() -> None:
    """The terms, the two arms made equal, their runs and what these come to."""
    text = words.load("arena")
    with lab.frame("arena", text.read("lab_title")):
        match, names = terms(text)
        if match is None:
            return
        even = arena.equalise(match)
        equal(text, match, even, names)
        entries = entries_of(match)
        start_or_stop(text, match, even, entries)
    alive = any(entry.alive for entry in entries)
    st.fragment(course, run_every=EVERY_SECONDS if alive else None)(match, names, alive)


def terms(text: words.Words) -> tuple[arena.Match | None, tuple[str, str]]:
    """The match that is asked for and the names of its arms; None where the page has said why it cannot be."""
    size = controls.choice(
        text.read("size"), "arena_size", SIZES, default="micro", help=text.read("size_help")
    )
    chosen = []
    for which, place in zip(arena.ARMS, st.columns(2, gap="large")):
        with place:
            chosen.append(contender(text, which))
    first, second, third = st.columns(3, gap="large")
    with first:
        equal_in = controls.choice(
            text.read("equal"), "arena_equal", arena.EQUAL_IN, help=text.read("equal_help")
        )
    with second:
        if equal_in == "seconds":
            length = controls.stops(text.read("seconds"), "arena_seconds", LENGTHS["seconds"], 30)
        else:
            length = controls.stops(text.read("steps"), "arena_steps", LENGTHS["steps"], arena.STEPS)
    with third:
        n_seeds = controls.stops(
            text.read("seeds"), "arena_seeds", SEEDS, len(arena.SEEDS), help=text.read("seeds_help")
        )
    middle = float(
        controls.choice(
            text.read("rate"), "arena_rate", MIDDLE_RATES, default="0.005",
            help=text.read("rate_help", apart=APART),
        )
    )  # fmt: skip
    names = tuple(name(which, *one) for which, one in zip(arena.ARMS, chosen))
    # As many key/value heads as query heads, so that they follow where an arm changes the latter.
    shape = dict(controls.SIZES[size]) | {"n_kv_heads": controls.SIZES[size]["n_heads"]}
    try:
        base = PRESETS["nano"].model.replace(context_length=arena.CONTEXT, **shape)
        models = [arena.style(style, base, **changes) for style, changes in chosen]
        unit = "seconds" if equal_in == "seconds" else "steps"
        match = arena.Match(
            a=models[0],
            b=models[1],
            train=arena.recipe_for(**{"steps": None, unit: float(length) if unit == "seconds" else length}),
            equal_in=equal_in,
            rates=tuple(float(f"{rate:.3g}") for rate in (middle / APART, middle, middle * APART)),
            seeds=tuple(range(n_seeds)),
        )
        arena.plan(match)
    except ConfigError as error:
        st.error(text.read("refused", rule=error), icon=":material/block:")
        st.button(text.read("refused_repair"), key="arena_repair", icon=":material/undo:", on_click=take_back)
        return None, names
    return match, names


def contender(text: words.Words, which: str) -> tuple[str, dict[str, Any]]:
    """One arm's family and the fields that were changed in it."""
    style = controls.choice(
        text.read("arm_a") if which == "a" else text.read("arm_b"),
        f"arena_{which}_style",
        list(arena.STYLES),
        default=DEFAULT_STYLE[which],
    )
    changes: dict[str, Any] = {}
    with links.refusals_here(), st.expander(text.read("change"), icon=":material/tune:"):
        columns = st.columns(2)
        for place, (field, options) in enumerate([*PARTS.items(), *SHAPE.items()]):
            same = STYLE if field in PARTS else SIZE
            with columns[place % 2]:
                value = controls.listed(f"`{field}`", f"arena_{which}_{field}", [same, *map(str, options)])
            if value != same:
                changes[field] = {"true": True, "false": False}.get(value, value)
                changes[field] = int(value) if field in SHAPE else changes[field]
    return style, changes


def name(which: str, style: str, changes: dict[str, Any]) -> str:
    """An arm in a few words: B, GPT-2-style, norm=rmsnorm."""
    changed = [f"{field}={str(value).lower()}" for field, value in changes.items()]
    return ", ".join([f"{which.upper()}: {style}", *changed])


def take_back() -> None:
    """Give both arms the shape of the size again. For callbacks."""
    for which in arena.ARMS:
        for field in SHAPE:
            st.session_state[f"arena_{which}_{field}"] = SIZE


def equal(text: words.Words, match: arena.Match, even: arena.Even, names: tuple[str, str]) -> None:
    """What was adjusted, what difference is left, where the parameters stand, and both configs as code."""
    left = even.left()
    if even.field == "d_ff":
        text.show("adjusted_width", before=even.before, after=even.after, off=left["parameters"],
                  work=left["FLOPs a step"])  # fmt: skip
    elif even.field == "steps":
        text.show("adjusted_steps", before=even.before, after=even.after, off=left["FLOPs a run"],
                  size=left["parameters"])  # fmt: skip
    elif match.equal_in == "seconds":
        text.show("adjusted_seconds", size=left["parameters"], work=left["FLOPs a step"])
    else:
        text.show("adjusted_nothing", size=left["parameters"], work=left["FLOPs a step"])
    st.dataframe(facts(match, even, names), key="arena_facts", hide_index=True)
    train = match.train
    text.show("training", batch=train.batch_size, window=match.window, optimizer=OPTIMIZERS[train.optimizer],
              precision=train.precision, share=train.min_learning_rate / train.learning_rate)  # fmt: skip
    counted = [parameters(even[arm].model) for arm in arena.ARMS]
    parts = [part for part in counted[0] if any(count[part] for count in counted)]
    picture = plots.columns(
        parts,
        {one: [count[part] for part in parts] for one, count in zip(names, counted)},
        y_title=text.read("parts_axis"),
        form=",.0f",
        height=260,
        revision="arena_parts",
    )
    st.plotly_chart(picture.figure, key="arena_parts", config=figures.CONFIG, alt=picture.alt)
    differ = config_diff.differing(match.a, match.b)
    if not differ:
        text.show("same")
        return
    code, known = st.columns([2, 3], gap="large")
    with code:
        st.code(config_diff.diff(even.a.model, even.b.model, names), language="diff", wrap_lines=True)
    with known:
        text.show("transfer", n=len(differ))
        for field in differ:
            st.markdown(f"- `{field}`: {config_diff.TRANSFERS[field]}", width=words.READING_WIDTH)


def facts(match: arena.Match, even: arena.Even, names: tuple[str, str]) -> list[dict[str, str]]:
    """Both arms in numbers, as rows of text."""

    def row(what: str, *values: str) -> dict[str, str]:
        return {"": what, **dict(zip(names, values))}

    arms = (even.a, even.b)
    each = match.train.batch_size * match.window
    seconds = match.train.seconds
    return [
        row("parameters", *(f"{one.n_parameters:,}" for one in arms)),
        row("d_ff", *(f"{one.model.d_ff:,}" for one in arms)),
        row("FLOPs a step", *(f"{one.flops_per_step / 1e9:.3f} · 10⁹" for one in arms)),
        row("steps a run", *(f"{one.steps:,}" if one.steps else f"what {seconds:g} s hold" for one in arms)),
        row("tokens a run", *(f"{one.steps * each:,}" if one.steps else "–" for one in arms)),
        row("FLOPs a run", *(f"{one.flops / 1e12:.3f} · 10¹²" if one.flops else "–" for one in arms)),
    ]


def entries_of(match: arena.Match) -> list[Entry]:
    """Every run of a match with what it has told so far."""
    planned = arena.plan(match)
    runs = session.find_runs(one.request for one in planned)
    return [
        Entry(one, run, curves.History() if run is None else _told(run)) for one, run in zip(planned, runs)
    ]


def _told(run: "Run") -> curves.History:
    return event_log.read(run.folder)


def seconds_of(match: arena.Match, even: arena.Even, entries: list[Entry]) -> float:
    """About how many seconds the runs still to come take here, by what such runs took or by the rate measured."""
    taken: dict[str, list[float]] = {arm: [] for arm in arena.ARMS}
    for one in entries:
        if one.loss is not None and one.history.seconds:
            taken[one.planned.arm].append(one.history.seconds[-1])
    total = 0.0
    looks = match.train.n_evals * match.train.eval_batches / 3  # in steps: a look only goes forward
    for one in entries:
        if one.loss is None:
            arm, known = even[one.planned.arm], taken[one.planned.arm]
            if match.train.seconds is not None:
                seconds = match.train.seconds
            elif known:
                seconds = sum(known) / len(known)
            else:
                seconds = (arm.steps + looks) * arm.flops_per_step / cached.training_rate()
            share = 1 - one.history.last_step / one.history.total_steps if one.history.start else 1
            total += STARTING_SECONDS + share * seconds
    return total / session.limits().runs_at_once


def start_or_stop(text: words.Words, match: arena.Match, even: arena.Even, entries: list[Entry]) -> None:
    """How many runs and minutes, and the two buttons."""
    missing = [one for one in entries if one.loss is None]
    alive = [one for one in entries if one.alive]
    if missing:
        text.show("plan", n=len(entries), left=len(missing), arms=len(arena.ARMS), rates=len(match.rates),
                  seeds=len(match.seeds), long=live.duration(seconds_of(match, even, entries)))  # fmt: skip
    with st.container(horizontal=True):
        st.button(
            text.read("start", n=len(missing)),
            key="arena_start",
            icon=":material/play_arrow:",
            type="primary",
            disabled=not missing or len(alive) == len(missing),
            on_click=start,
            args=(match,),
        )
        st.button(
            text.read("stop"),
            key="arena_stop",
            icon=":material/stop:",
            disabled=not alive,
            on_click=stop,
            args=(match,),
            help=text.read("stop_help"),
        )
    if problem := st.session_state.get(PROBLEM):
        st.error(problem, icon=":material/error:")


def start(match: arena.Match) -> None:
    """Ask for every run that is not over and not under way. For callbacks."""
    from gptcore.experiments.arena_records import key_of

    st.session_state[GOING] = key_of(match)
    st.session_state[PROBLEM] = ask(match)


def ask(match: arena.Match, *, again: bool = True) -> str | None:
    """Ask for what is missing, as much as the queue takes; return why nothing could be asked for.

    Without `again` only for what was never asked for: a run that has failed waits for the learner.
    """
    asked = False
    try:
        for one in entries_of(match):
            if one.loss is not None or one.alive or (one.run is not None and not again):
                asked = asked or one.alive
                continue
            if one.run is not None and one.run.can_resume() and visitor.asked_for(one.run):
                session.resume_run(one.run)
            else:
                session.start_run(one.planned.request, lab=True, view=False)
            asked = True
    except (ValueError, OSError) as error:
        return None if asked else str(error)  # the queue is full: the rest is asked for as places come free
    return None


def stop(match: arena.Match) -> None:
    """Take the runs that wait out of the queue and pause those that train; what is over stays. For callbacks."""
    st.session_state.pop(GOING, None)
    for one in entries_of(match):
        if not one.alive:
            continue
        if one.run.state() == "waiting":
            session.withdraw_run(one.run)
        elif len(one.run.owners()) > 1:
            session.stop_run(one.run)  # it goes on for the others
        elif visitor.owns(one.run):
            one.run.pause()


def course(match: arena.Match, names: tuple[str, str], was_alive: bool) -> None:
    """How the runs go, and what those that are over come to; renews itself while any is under way."""
    from gptcore.experiments import arena_records

    text = words.load("arena")
    if st.session_state.get(GOING) == arena_records.key_of(match):
        ask(match, again=False)
    entries = entries_of(match)
    progress(text, match, entries)
    results = [
        arena.Result(one.planned.arm, one.planned.rate, one.planned.seed, one.loss)
        for one in entries
        if one.loss is not None
    ]
    record = arena_records.kept(match)
    if record is not None and len(results) < len(entries) and not any(one.alive for one in entries):
        text.show("kept_only", when=f"{datetime.fromtimestamp(record.when):%d %b %H:%M}")
        results = list(record.results)
    verdict = arena.judge(results, match)
    if verdict.word != "open" and record is None:
        arena_records.keep(match, names, said_terms(text, match), results, verdict)
    if results:
        say(text, verdict, names)
        rates(text, match, results, names)
    best = at_their_best(results)
    if all(arm in best for arm in arena.ARMS):
        told = {
            one: [
                entry.history
                for entry in entries
                if entry.planned.arm == arm and entry.planned.rate == best[arm] and entry.loss is not None
            ]
            for arm, one in zip(arena.ARMS, names)
        }
        if all(told.values()):
            on_the_way(text, told)
            abilities(text, told)
            samples(text, told)
    if was_alive != any(one.alive for one in entries):
        st.rerun()


def progress(text: words.Words, match: arena.Match, entries: list[Entry]) -> None:
    """How far the match is, in a bar and a sentence; sentences of runs that ended badly."""
    over = [one for one in entries if one.loss is not None]
    alive = [one for one in entries if one.alive]
    if alive:
        done = sum(1.0 if one.loss is not None else one.history.last_step / one.history.total_steps
                   for one in entries)  # fmt: skip
        training = [one.planned.name for one in alive if one.history.start] or [alive[0].planned.name]
        left = live.duration(seconds_of(match, arena.equalise(match), entries))
        st.progress(
            min(1.0, done / len(entries)),
            text=text.read("running", over=len(over), n=len(entries), now=", ".join(training), left=left),
        )
    failed = [one for one in entries if one.loss is None and one.run is not None and one.run.failure()]
    for sentence in dict.fromkeys(one.run.failure() for one in failed):
        st.error(sentence, icon=":material/error:")


def said_terms(text: words.Words, match: arena.Match) -> str:
    """The terms of a match in a line."""
    length = f"{match.train.seconds:g} s" if match.train.seconds else f"{match.train.steps} steps"
    shape = f"{match.a.d_model} × {match.a.n_layers}"
    return text.read("terms", equal=match.equal_in, length=length, shape=shape, seeds=len(match.seeds),
                     rates=len(match.rates))  # fmt: skip


def at_their_best(results: list[arena.Result]) -> dict[str, float]:
    """Each arm's best rate by the mean of what is there so far."""
    losses: dict[tuple[str, float], list[float]] = {}
    for one in results:
        losses.setdefault((one.arm, one.rate), []).append(one.loss)
    means = {key: sum(found) / len(found) for key, found in losses.items()}
    return {
        arm: min((mean, rate) for (other, rate), mean in means.items() if other == arm)[1]
        for arm in arena.ARMS
        if any(other == arm and math.isfinite(mean) for (other, _), mean in means.items())
    }


def say(text: words.Words, verdict: arena.Verdict, names: tuple[str, str]) -> None:
    """The verdict in a sentence, with what speaks against believing it too soon."""
    by_arm = dict(zip(arena.ARMS, names))
    if verdict.word == "open":
        st.info(text.read("verdict_open"), icon=":material/hourglass_empty:")
        return
    if verdict.word == "clear":
        st.success(
            text.read("verdict_clear", winner=by_arm[verdict.winner], difference=verdict.difference,
                      chance=verdict.chance),
            icon=":material/balance:",
        )  # fmt: skip
    else:
        st.info(
            text.read("verdict_noise", winner=by_arm[verdict.winner], difference=verdict.difference,
                      error=verdict.standard_error, chance=verdict.chance),
            icon=":material/balance:",
        )  # fmt: skip
    if verdict.apart and verdict.word != "clear":
        n = len(verdict.best["a"].losses)
        text.show("verdict_apart", n=n, orders=math.comb(2 * n, n))
    for arm, best in verdict.best.items():
        if best.edge is not None:
            text.show("verdict_edge", name=by_arm[arm], rate=best.rate, edge=best.edge)


def rates(text: words.Words, match: arena.Match, results: list[arena.Result], names: tuple[str, str]) -> None:
    """Last losses by rate and arm: as a table, and as curves with the band of the seeds."""
    found = {
        (arm, rate): [one.loss for one in results if (one.arm, one.rate) == (arm, rate)]
        for arm in arena.ARMS
        for rate in match.rates
    }
    rows = []
    for rate in match.rates:
        row: dict[str, Any] = {text.read("table_rate"): f"{rate:g}"}
        for arm, one in zip(arena.ARMS, names):
            losses = sorted(found[arm, rate])
            row[one] = f"{sum(losses) / len(losses):.3f}" if losses else "–"
            row[f"{arm.upper()}, {text.read('table_seeds')}"] = (
                " ".join(f"{loss:.3f}" for loss in losses) or "–"
            )
        rows.append(row)
    st.dataframe(rows, key="arena_table", hide_index=True)
    text.show("table_note")
    bands = {}
    for arm, one in zip(arena.ARMS, names):
        finite = [[loss for loss in found[arm, rate] if math.isfinite(loss)] for rate in match.rates]
        bands[one] = plots.Band(
            *([fold(losses) if losses else None for losses in finite] for fold in (_mean, min, max))
        )
    # A band needs both ends everywhere: until then the means alone are drawn.
    bands = {one: band if None not in band.y else plots.Band(band.y) for one, band in bands.items()}
    picture = plots.curves(
        match.rates, bands, x_title=text.read("table_rate"), y_title=text.read("loss_axis"), log_x=True,
        height=300, revision="arena_rates", what=text.read("rates_what"),
    )  # fmt: skip
    st.plotly_chart(picture.figure, key="arena_rates", config=figures.CONFIG, alt=picture.alt)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def on_the_way(text: words.Words, told: dict[str, list[curves.History]]) -> None:
    """Both arms at their best rates, by step, token or second, with bands."""
    text.show("way")
    against = controls.choice(text.read("way_against"), "arena_against", AGAINST)
    picture = curves.bands(told, against=against)
    st.plotly_chart(picture.figure, key="arena_way", config=figures.CONFIG, alt=picture.alt)


def abilities(text: words.Words, told: dict[str, list[curves.History]]) -> None:
    """The four story scores at the end, the mean over an arm's seeds."""
    scores: dict[str, list[float]] = {}
    for one, histories in told.items():
        ladders = [history.samples[-1]["ladder"] for history in histories if history.samples]
        by_rung = [
            [ladder[rung] for ladder in ladders if ladder and ladder.get(rung) is not None]
            for rung in curves.SCORES
        ]
        scores[one] = [_mean(found) if found else 0.0 for found in by_rung]
    text.show("ladder")
    picture = plots.columns(
        [rung for rung, _ in curves.SCORES.values()], scores, y_title=text.read("ladder_axis"), form=".0%",
        height=280, revision="arena_ladder",
    )  # fmt: skip
    picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.2])
    st.plotly_chart(picture.figure, key="arena_ladder", config=figures.CONFIG, alt=picture.alt)


def samples(text: words.Words, told: dict[str, list[curves.History]]) -> None:
    """What one run of each arm writes at the end."""
    count = min(len(histories) for histories in told.values())
    seed = controls.choice(text.read("sample_seed"), "arena_sample", [str(place) for place in range(count)])
    for (one, histories), place in zip(told.items(), st.columns(2, gap="large")):
        with place:
            st.caption(one)
            with st.container(height=200, border=True):
                written = histories[int(seed)].samples
                st.text(written[-1]["text"].strip() if written else "")


def rule() -> None:
    """By what a match is judged."""
    n = len(arena.SEEDS)
    words.load("arena").show(
        "rule", chance=arena.CHANCE, n=n, freedom=2 * n - 2, needed=arena.needed(n, arena.CHANCE)
    )


def matches_held() -> None:
    """Every finished match of this runs folder."""
    from gptcore.experiments import arena_records

    text = words.load("arena")
    found = arena_records.every()
    if not found:
        text.show("none_held")
        return
    rows = []
    for record in found:
        winner = dict(zip(arena.ARMS, record.names)).get(record.winner, "–")
        rows.append(
            {
                "A": record.names[0],
                "B": record.names[1],
                "Terms": record.terms,
                "Verdict": record.verdict,
                "Lower": winner,
                "By (nats)": record.difference,
                "Held": f"{datetime.fromtimestamp(record.when):%d %b %H:%M}",
            }
        )
    st.dataframe(
        rows,
        key="arena_held",
        hide_index=True,
        column_config={"By (nats)": st.column_config.NumberColumn(format="%.3f")},
        alt=text.read("held_alt", n=len(rows)),
    )
