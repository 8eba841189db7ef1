"""The labs of chapter 9."""

import itertools
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import streamlit as st

from pages.kit import (
    chips,
    controls,
    diagram,
    dim_colors,
    figures,
    forward,
    generation_figures,
    lab,
    latex,
    plots,
    prompt,
    replay,
    session,
    words,
)
from pages.kit.controls import Dial, Sampling
from pages.kit.models import ModelHandle
from pages.kit.worked_example import Steps
from pages.labs.inference import cached
from pages.labs.inference.race import LANES, Entry, Race, smooth

if TYPE_CHECKING:
    from gptcore.generation.sampling import Step

CHUNK_SECONDS = 0.4
EVERY_SECONDS = 0.2
REPLAY_SECONDS = 8.0
SLOWER = (1, 2, 5, 10, 20, 50)
N_BARS = 14
NINE = (0.45, 0.22, 0.13, 0.08, 0.05, 0.03, 0.02, 0.01, 0.01)
FOUR = (2.0, 1.0, 0.5, 0.1)
FOUR_NAMES = ("a", "b", "c", "d")
TEMPERATURES = (0.5, 1.0, 2.0)
# So many tokens appear at a time: fast enough to be live, slow enough to be read and stopped.
TOKENS_A_TICK = 12
WRITE_EVERY_SECONDS = 0.15
PAST = ("stop", "slide")
END = "<|endoftext|>"


def examples(count: int) -> tuple[str, ...]:
    """Beginnings from the story world, to click on."""
    from gptcore.stories.writer import PROMPTS

    return PROMPTS[:count]


def shown(token: str) -> str:
    """A token as it stands in a text: the end of a story is a mark."""
    return "\n¶ " if token == END else token


def finding() -> None:
    """One more token with a cache and without, timed just now, against the length of the text."""
    text = words.load("09_inference")
    model = session.model_in_use()
    times = cached.next_token_times(model)
    first, last = times.lengths[0], times.lengths[-1]
    text.show(
        "finding",
        last=last,
        without=times.without[-1],
        cached=times.cached[-1],
        first=first,
        without_first=times.without[0],
        cached_first=times.cached[0],
    )
    picture = plots.curves(
        times.lengths,
        {"cache off": times.without, "cache on": times.cached},
        x_title="tokens before it",
        y_title="milliseconds for one more",
        height=240,
        revision="c9_finding",
    )
    picture.figure.update_yaxes(rangemode="tozero")
    st.plotly_chart(picture.figure, key="c9_finding", config=figures.CONFIG, alt=picture.alt)


@st.fragment
def flow() -> None:
    """One more token on its way through the model, with the cache and the shapes of the model in use."""
    text = words.load("09_inference")
    config = session.model_in_use().model.config
    most = config.context_length
    seen = controls.whole(
        text.read("diagram_seen"), "c9_flow_s", Dial("", 1, most, 1, text.read("diagram_help")), min(24, most)
    )
    text.show("diagram", seen=seen, before=seen - 1)
    sizes = dim_colors.sizes_of(config)
    c, h, k, d, v = (sizes[letter] for letter in "CHKDV")
    node, edge = diagram.Node, diagram.Edge
    nodes = [
        node("id", "the newest token", sizes={"T": 1}),
        node("embed", "embedding", "weight", {"V": v, "C": c}),
        node("x", "its vector", sizes={"T": 1, "C": c}),
        node("qkv", "qkv_proj, turned to its place", "step"),
        node("q", "one query a head", sizes={"H": h, "T": 1, "D": d}),
        node("new", "one key and one value a head", sizes={"K": k, "T": 1, "D": d}),
        node("cache", "KVCache.extend: this layer's keys and values", sizes={"K": k, "S": seen, "D": d}),
        node("look", f"compare with all {seen}, mix", "step"),
        node("rest", "feed-forward; next block", "step"),
        node("norm", "final norm, output layer", "weight", {"C": c, "V": v}),
        node("logits", "scores", sizes={"T": 1, "V": v}),
        node("filters", "penalty, temperature, top-k, top-p, min-p, softmax", "step"),
        node("p", "probabilities", sizes={"V": v}),
        node("draw", "draw with the seed", "step"),
    ]
    edges = [
        edge("id", "embed"),
        edge("embed", "x"),
        edge("x", "qkv"),
        edge("qkv", "q"),
        edge("qkv", "new"),
        edge("new", "cache", "stored"),
        edge("q", "look"),
        edge("cache", "look", "looked up"),
        edge("look", "rest"),
        edge("rest", "qkv", f"{config.n_layers} blocks"),
        edge("rest", "norm"),
        edge("norm", "logits"),
        edge("logits", "filters"),
        edge("filters", "p"),
        edge("p", "draw"),
        edge("draw", "id", "goes in next"),
    ]
    diagram.flowchart(nodes, edges, alt="One more token: through the model, past the cache, to the draw")


# The race


@st.fragment
def two_lanes() -> None:
    """One prompt, two lanes: measured first, in pieces, then replayed and compared."""
    text = words.load("09_inference")
    with lab.frame("c9_race", text.read("lab_race_title")):
        text.show("lab_race")
        _two_lanes(text)


def _two_lanes(text: words.Words) -> None:
    model = session.model_in_use()
    config = model.config
    typed = prompt.text_input(text.read("race_prompt"), "c9_prompt", examples(1)[0], examples(4))
    left, right = st.columns(2, gap="large")
    with left:
        dial = Dial("", 8, config.context_length, 8, text.read("new_help", context=config.context_length))
        n_new = controls.whole(text.read("new_label"), "c9_new", dial, min(240, config.context_length))
    with right:
        seed = controls.seed("c9_race_seed")
    n_prompt = max(1, len(model.tokenizer.encode(typed)))
    room = config.context_length - n_prompt + 1
    entry = Entry(model, typed, min(n_new, max(1, room)), seed)
    running = _of_model("c9_running", model)
    measured = _of_model("c9_measured", model)
    if running is None and measured is None and not st.session_state.get("c9_problem"):
        running = st.session_state["c9_running"] = Race(entry)
    if running is not None and _measure(running, model):
        running, measured = None, _of_model("c9_measured", model)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            text.read("race_button"),
            key="c9_race",
            type="primary",
            icon=":material/timer:",
            disabled=running is not None,
            on_click=_start_race,
            args=(entry,),
        )
        st.button(
            text.read("stop_button"),
            key="c9_race_stop",
            icon=":material/stop:",
            disabled=running is None,
            on_click=_stop_race,
        )
        if running is None and measured is not None and measured.entry != entry:
            st.caption(text.read("stale"))
    if running is not None:
        st.fragment(_measuring, run_every=EVERY_SECONDS)(Ticks())
    if problem := st.session_state.get("c9_problem"):
        st.error(f"{problem}.", icon=":material/error:")
    if measured is not None:
        results(measured, model, text)
        predict_race(measured, text)
    elif running is not None:
        # Room for what is coming, so that the page below does not jump.
        st.container(height=880, border=False)


def predict_race(race: Race, text: words.Words) -> None:
    """With half as many tokens: what the same race says about its own first half."""
    seconds = {lane: race.seconds(lane) for lane in LANES}
    n_new = len(seconds[LANES[1]])
    half = max(1, n_new // 2)
    off, on = (sum(seconds[lane][:half]) for lane in LANES)
    whole = sum(seconds[LANES[0]]) / sum(seconds[LANES[1]])
    lab.predict(
        "c9_race",
        text.read("lab_race_predict"),
        (text.read("lab_race_more"), text.read("lab_race_less"), text.read("lab_race_same")),
        right=1,
        because=text.read("lab_race_because", half=half, shorter=off / on, n_new=n_new, whole=whole),
    )


def _of_model(key: str, model: ModelHandle) -> Race | None:
    """The race kept under this key, if it was run with the model now in use."""
    race: Race | None = st.session_state.get(key)
    return race if race is not None and race.entry.model.path == model.path else None


def _start_race(entry: Entry) -> None:
    st.session_state["c9_problem"] = None
    st.session_state["c9_running"] = Race(entry)


def _stop_race() -> None:
    race: Race | None = st.session_state.pop("c9_running", None)
    if race is not None and race.shown:
        race.close()
        st.session_state["c9_measured"] = race
    elif st.session_state.get("c9_measured") is None:
        st.session_state["c9_problem"] = words.load("09_inference").read("stopped_early")


@dataclass(slots=True)
class Ticks:
    """Counts the runs of a fragment that renews itself. The first is part of a run of the whole page.

    A whole run must never end in `st.rerun`: widgets it has not come to yet would lose their values.
    """

    n: int = 0

    def first(self) -> bool:
        self.n += 1
        return self.n == 1


def _measure(race: Race, model: ModelHandle) -> bool:
    """Measure a little; return whether the race is over, be it with a result or with a problem."""
    try:
        race.work(model, CHUNK_SECONDS)
    except ValueError as error:
        st.session_state["c9_problem"] = str(error)
        st.session_state["c9_running"] = None
        return True
    if race.ended:
        st.session_state["c9_measured"] = race
        st.session_state["c9_running"] = None
    return race.ended


def _measuring(ticks: Ticks) -> None:
    """Go on measuring and show how far it is; one run of the page at the end shows the result."""
    text = words.load("09_inference")
    race: Race | None = st.session_state.get("c9_running")
    if race is None:
        return
    if not ticks.first() and _measure(race, session.model_in_use()):
        st.rerun()
    st.progress(race.share, text=text.read("measuring", lap=len(race.laps), lane=race.laps[-1].lane))


def results(race: Race, model: ModelHandle, text: words.Words) -> None:
    """The verdict, the replay of both lanes, and the curves and bytes behind them."""
    off, on = LANES
    seconds = {lane: race.seconds(lane) for lane in LANES}
    totals = {lane: sum(values) for lane, values in seconds.items()}
    n_new = len(race.tokens(on))
    different = race.first_difference()
    laps = sum(len(race.whole(lane)) for lane in LANES)
    if different is None:
        st.badge(text.read("identical", n=n_new, laps=laps), icon=":material/check_circle:", color="green")
    else:
        st.badge(text.read("different", place=different + 1), icon=":material/cancel:", color="red")
    longest = max(totals.values())
    slower = min(SLOWER, key=lambda factor: abs(factor * longest - REPLAY_SECONDS))
    replay.lanes(
        race.entry.prompt,
        [
            replay.Lane(
                lane,
                [shown(model.tokenizer.token_text(i)) for i in race.tokens(lane)],
                list(itertools.accumulate(seconds[lane])),
            )
            for lane in LANES
        ],
        key="c9_lanes",
        play=f"{race.entry} {totals}",
        slower=slower,
        again=text.read("replay_again", slower=slower),
        skip=text.read("replay_skip", slower=slower),
        unit=text.read("rate_unit"),
    )
    n_prompt = max(1, len(model.tokenizer.encode(race.entry.prompt)))
    curves = {lane: smooth(values[1:]) for lane, values in seconds.items()}
    if n_new > 2:
        picture = generation_figures.time_per_token(
            curves, n_prompt + 1, points={lane: values[1:] for lane, values in seconds.items()}
        )
        text.show(
            "lab_race_curve",
            start=1000 * curves[off][0],
            end=1000 * curves[off][-1],
            flat=1000 * curves[on][0],
            flat_end=1000 * curves[on][-1],
        )
        st.plotly_chart(picture.figure, key="c9_time", config=figures.CONFIG, alt=picture.alt)
    lanes_table(seconds, text)
    slogan(race, n_prompt, totals[off] / totals[on], text)
    cache_bytes(model, n_prompt, n_new, text)


def lanes_table(seconds: dict[str, list[float]], text: words.Words) -> None:
    """What each lane took, in the three numbers that matter to whoever waits."""
    for column, lane in zip(st.columns(2, gap="medium"), LANES, strict=True):
        values = seconds[lane]
        with column, st.container(horizontal=True, border=True):
            st.metric(text.read("rate", lane=lane), f"{len(values) / sum(values):,.0f}")
            st.metric(text.read("first"), f"{1000 * values[0]:.1f} ms")
            st.metric(text.read("last"), f"{1000 * smooth(values)[-1]:.1f} ms")


def slogan(race: Race, n_prompt: int, faster: float, text: words.Words) -> None:
    """What the factor of the slogan counts, beside what the clock says."""
    n_new = len(race.tokens(LANES[1]))
    lengths = range(n_prompt, n_prompt + n_new)
    pushed_off, pushed_on = sum(lengths), n_prompt + n_new - 1
    text.show(
        "lab_race_slogan",
        n_new=n_new,
        pushed_off=pushed_off,
        pushed_on=pushed_on,
        counted=pushed_off / pushed_on,
        faster=faster,
        pairs_off=sum(length * (length + 1) // 2 for length in lengths),
        pairs_on=pushed_on * (pushed_on + 1) // 2,
    )


def cache_bytes(model: ModelHandle, n_prompt: int, n_new: int, text: words.Words) -> None:
    """Bytes set aside and bytes in use, with the numbers put into the formula."""
    from gptcore import account
    from gptcore.cache import KVCache

    config, dtype = model.config, model.model.dtype
    # As `generate` makes it: room for the prompt and what is asked for, at most the context.
    cache = KVCache(config, dtype=dtype, capacity=n_prompt + n_new)
    cache.advance(min(n_prompt + n_new - 1, cache.capacity))
    width = dtype.itemsize
    text.show(
        "lab_race_bytes", allocated=cache.n_bytes / 1e3, used=cache.n_bytes_used / 1e3, positions=cache.length
    )
    st.latex(
        rf"2 \cdot \underbrace{{{config.n_layers}}}_{{L}} \cdot \underbrace{{{config.n_kv_heads}}}_{{K}} \cdot "
        rf"\underbrace{{{config.head_dim}}}_{{D}} \cdot \underbrace{{{cache.capacity}}}_{{\text{{positions}}}} \cdot "
        rf"\underbrace{{{width}}}_{{\text{{bytes}}}} = "
        rf"{account.cache_bytes(config, cache.capacity, bytes_per_value=width):,}".replace(",", r"{,}")
    )


# The worked example


@st.fragment
def worked_example() -> None:
    """From four scores to shares at three temperatures; from nine shares to what two filters leave; one draw."""
    text = words.load("09_inference")
    open_ = Steps(6)
    three_temperatures(text, open_)
    nine_shares(text, open_)


def three_temperatures(text: words.Words, open_: Steps) -> None:
    """Softmax of four scores at three temperatures, the scores to be edited."""
    import torch

    from gptcore.lessons import by_hand

    text.show("example")
    left, right = st.columns([2, 5], gap="large")
    with left:
        scores = prompt.number_column(
            "c9_scores",
            FOUR_NAMES,
            FOUR,
            column="score",
            note="token",
            low=-10,
            high=10,
            step=0.1,
        )
    steps = {degree: by_hand.softmax(torch.tensor(scores), degree) for degree in TEMPERATURES}
    low = TEMPERATURES[0]
    with right:
        for column, degree in zip(st.columns(3), TEMPERATURES, strict=True):
            with column:
                st.markdown(f"**T = {degree:g}**")
                shares = steps[degree].shares.tolist()
                replay.pick(
                    [replay.Candidate(name, p) for name, p in zip(FOUR_NAMES, shares, strict=True)],
                    key=f"c9_t{degree:g}".replace(".", "_"),
                    label=text.read("temperature_label", degree=degree),
                )
    if open_(text.read("example_divide_title")):
        text.show("example_divide")
        rows = [scores, *(steps[degree].scaled.tolist() for degree in TEMPERATURES)]
        st.latex(_rows(("z", *(rf"z / {degree:g}" for degree in TEMPERATURES)), rows, ".3f"))
    if open_(text.read("example_exp_title")):
        text.show("example_exp")
        rows = [steps[degree].exponentials.tolist() for degree in TEMPERATURES]
        st.latex(_rows([rf"e^{{z / {degree:g}}}" for degree in TEMPERATURES], rows, ".3f"))
    if open_(text.read("example_share_title")):
        text.show("example_share")
        rows = [steps[degree].shares.tolist() for degree in TEMPERATURES]
        st.latex(_rows([rf"p_{{T={degree:g}}}" for degree in TEMPERATURES], rows, ".3f"))
        terms = " + ".join(f"e^{{{score:g}/{low:g}}}" for score in scores)
        st.latex(
            rf"p_{{T={low:g}}}(a) ="
            rf" \frac{{e^{{{scores[0]:g}/{low:g}}}}}{{{terms}}} = {steps[low].shares[0].item():.3f}"
        )


def _rows(names: Sequence[str], rows: Sequence[Sequence[float]], form: str) -> str:
    """Named rows of numbers under one another in LaTeX."""
    lines = [
        f"{name} &= " + r" \quad ".join(latex.number(value, form) for value in row)
        for name, row in zip(names, rows, strict=True)
    ]
    return r"\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}"


def nine_shares(text: words.Words, open_: Steps) -> None:
    """Top-k and top-p on nine probabilities, the probabilities to be edited; then one draw."""
    import torch

    from gptcore.generation.sampling import Sampling
    from gptcore.lessons import by_hand

    text.show("example_filters")
    names = tuple(str(place) for place in range(1, len(NINE) + 1))
    left, right = st.columns([2, 5], gap="large")
    with left:
        shares = prompt.number_column(
            "c9_nine", names, NINE, column="share", note="token", low=0.0, high=1.0, step=0.01
        )
    with right:
        k = controls.whole("Top-k", "c9_nine_k", Dial("", 1, len(NINE), 1, text.read("k_help")), 3)
        p = controls.decimal("Top-p", "c9_nine_p", 0.05, 1.0, 0.9, 0.05, text.read("p_help"))
        whole = sum(shares)
        if whole <= 0:
            st.error(text.read("no_shares"), icon=":material/error:")
            return
        given = torch.tensor([share / whole for share in shares])
        found = {
            f"top-k = {k}": (by_hand.cut(given, Sampling(top_k=k)), "c9_nine_top_k"),
            f"top-p = {p:g}": (by_hand.cut(given, Sampling(top_p=p)), "c9_nine_top_p"),
        }
        for column, (label, (one, key)) in zip(st.columns(2), found.items(), strict=True):
            kept = one.after.tolist()
            with column:
                st.markdown(f"**{label}** keeps {sum(share > 0 for share in kept)}")
                picture = generation_figures.probability_bars(
                    names,
                    [after or before for after, before in zip(kept, given.tolist(), strict=True)],
                    kept=[share > 0 for share in kept],
                    height=270,
                    revision=key,
                )
                st.plotly_chart(picture.figure, key=key, config=figures.CONFIG, alt=picture.alt)
    if abs(whole - 1) > 1e-6:
        text.show("rescaled", total=whole)
    one = found[f"top-p = {p:g}"][0]
    n_kept = int(one.kept.sum())
    if open_(text.read("example_running_title")):
        before = one.running[n_kept - 2].item() if n_kept > 1 else 0.0
        text.show("example_running", p=p, n=n_kept, before=before, reached=one.running[n_kept - 1].item())
        st.latex(_rows(("p", r"\text{sum}"), (one.sorted.tolist(), one.running.tolist()), ".3f"))
    if open_(text.read("example_again_title")):
        text.show("example_again", mass=one.mass)
        after = one.after[one.order][:n_kept].tolist()
        parts = r" \quad ".join(
            rf"\tfrac{{{latex.number(old, '.3f')}}}{{{latex.number(one.mass, '.3f')}}} = {new:.3f}"
            for old, new in zip(one.sorted.tolist(), after)
        )
        st.latex(parts)
    if open_(text.read("example_draw_title")):
        where = controls.decimal(
            text.read("example_draw_u"), "c9_u", 0.0, 0.99, 0.6, 0.01, text.read("u_help")
        )
        token = by_hand.drawn(one.after, where)
        ends = one.after.cumsum(0).tolist()
        start = ends[token] - one.after[token].item()
        text.show("example_draw", u=where, token=token + 1, start=start, end=ends[token])


# Sampling and writing


@dataclass(slots=True)
class Writing:
    """A text while it is written: the tokens so far, and why it ended."""

    prompt: str
    asked: int
    steps: "Generator[Step, None, str] | None"
    tokens: list[int] = field(default_factory=list)
    seconds: float = 0.0
    reason: str | None = None

    def work(self, n_tokens: int) -> None:
        """Write up to so many tokens more; `reason` says why it ended, or why it cannot begin."""
        for _ in range(n_tokens):
            try:
                step = next(self.steps)
            except StopIteration as end:
                self.steps, self.reason = None, end.value
                return
            except ValueError as error:
                self.steps, self.reason = None, str(error)
                return
            self.tokens.append(step.token_id)
            self.seconds += step.seconds


@st.fragment
def choose_and_write() -> None:
    """Every sampling control over the live distribution it cuts; below, the text it gives."""
    text = words.load("09_inference")
    model = session.model_in_use()
    with lab.frame("c9_write", text.read("lab_write_title")):
        text.show("lab_write")
        typed = prompt.text_input(text.read("write_prompt"), "c9_text", examples(8)[-1], examples(8)[4:])
        left, right = st.columns([2, 3], gap="large")
        with left:
            chosen = controls.sampling("c9")
        with right:
            problem = cut_distribution(model, typed, chosen, text)
        if problem:
            st.error(f"{problem}.", icon=":material/error:")
        writing(model, typed, chosen, text)
        predict_greedy(model, typed, text)


def predict_greedy(model: ModelHandle, typed: str, text: words.Words) -> None:
    """Temperature 0 twice: the same text, whatever the seed."""
    written = forward.continuation(model, typed[:200], 12)
    lab.predict(
        "c9_write",
        text.read("lab_write_predict"),
        (text.read("lab_write_true"), text.read("lab_write_likely"), text.read("lab_write_random")),
        right=1,
        because=text.read("lab_write_because", text="".join(token for token, _ in written).strip()),
        then={"c9_temperature": 0.0},
    )


def cut_distribution(model: ModelHandle, typed: str, chosen: Sampling, text: words.Words) -> str | None:
    """Draw what may come next, grey where a filter cuts; return the sentence why it cannot be."""
    import torch

    from gptcore.generation import sampling

    ids = model.tokenizer.encode(typed) or [model.tokenizer.eot_id]
    if len(ids) > model.config.context_length:
        ids = ids[-model.config.context_length // 2 :]
        st.caption(text.read("last_half", n=len(ids)))
    with torch.inference_mode():
        logits = model.model(torch.tensor([ids]))[0, -1]
    seen = torch.tensor(ids)
    filters = sampling.Sampling(**chosen.filters())
    unfiltered = sampling.Sampling(
        temperature=chosen.temperature or 1.0, repetition_penalty=chosen.repetition_penalty
    )
    before = sampling.distribution(logits, unfiltered, seen)
    after = sampling.distribution(logits, filters, seen)
    best = before.topk(min(N_BARS, len(before)))
    places = best.indices.tolist()
    left = after[best.indices].tolist()
    names = [model.tokenizer.token_text(place) for place in places]
    drawn = next(iter(sampling.generate(model.model, ids, 1, seed=chosen.seed, **chosen.filters()))).token_id
    picture = generation_figures.probability_bars(
        ["(end)" if name == END else name for name in names],
        [share or raw for share, raw in zip(left, best.values.tolist(), strict=True)],
        kept=[share > 0 for share in left],
        chosen=places.index(drawn) if drawn in places else None,
        revision="c9_cut",
    )
    n_kept = int((after > 0).sum())
    text.show(
        "kept",
        n_kept=n_kept,
        n_all=len(after),
        mass=float(before[after > 0].sum()),
        token=chips.visible(model.tokenizer.token_text(drawn)),
        p=float(after[drawn]),
    )
    st.plotly_chart(picture.figure, key="c9_cut", config=figures.CONFIG, alt=picture.alt)
    return None


def writing(model: ModelHandle, typed: str, chosen: Sampling, text: words.Words) -> None:
    """Generate with the chosen controls, a few tokens at a time; what is there stays when it is stopped."""
    left, right = st.columns(2, gap="large")
    with left:
        dial = Dial("", 10, 600, 10, text.read("length_help"))
        asked = controls.whole(text.read("length_label"), "c9_length", dial, 120)
    with right:
        half = model.config.context_length // 2
        past = controls.choice(
            text.read("past_label"), "c9_past", PAST, help=text.read("past_help", half=half)
        )
    now: Writing | None = st.session_state.get("c9_writing")
    if now is not None and now.steps is not None:
        now.work(TOKENS_A_TICK)
    busy = now is not None and now.steps is not None
    with st.container(horizontal=True):
        st.button(
            text.read("generate"),
            key="c9_generate",
            type="primary",
            icon=":material/edit:",
            disabled=busy,
            on_click=_start_writing,
            args=(typed, asked, chosen, past),
        )
        st.button(
            text.read("stop_button"),
            key="c9_write_stop",
            icon=":material/stop:",
            disabled=not busy,
            on_click=_stop_writing,
        )
    if now is not None:
        st.fragment(_write, run_every=WRITE_EVERY_SECONDS if busy else None)(Ticks())


def _start_writing(typed: str, asked: int, chosen: Sampling, past: str) -> None:
    from gptcore.generation.sampling import generate

    model = session.model_in_use()
    ids = model.tokenizer.encode(typed) or [model.tokenizer.eot_id]
    steps = generate(
        model.model,
        ids,
        asked,
        seed=chosen.seed,
        stop_ids=(model.tokenizer.eot_id,),
        n_alternatives=0,
        past_context=past,
        **chosen.filters(),
    )
    st.session_state["c9_writing"] = Writing(typed, asked, steps)


def _stop_writing() -> None:
    now: Writing | None = st.session_state.get("c9_writing")
    if now is not None and now.steps is not None:
        now.steps, now.reason = None, "stopped"


def _write(ticks: Ticks) -> None:
    """Write a few tokens and show the text so far; one run of the page at the end frees the button."""
    text = words.load("09_inference")
    model = session.model_in_use()
    now: Writing | None = st.session_state.get("c9_writing")
    if now is None:
        return
    if not ticks.first() and now.steps is not None:
        now.work(TOKENS_A_TICK)
        if now.steps is None:
            st.rerun()
    body = model.tokenizer.decode(now.tokens)
    if now.tokens or now.steps is not None:
        with st.container(border=True):
            st.text(now.prompt + body)
    context = model.config.context_length
    rate = len(now.tokens) / now.seconds if now.seconds else 0.0
    if now.reason is None:
        st.caption(text.read("writing", n=len(now.tokens), asked=now.asked))
    elif now.reason == "length":
        st.caption(text.read("ended_length", n=len(now.tokens), rate=rate))
    elif now.reason == "stop":
        st.caption(text.read("ended_stop", n=len(now.tokens), rate=rate))
    elif now.reason == "context":
        st.caption(text.read("ended_context", n=len(now.tokens), rate=rate, context=context))
    elif now.reason == "stopped":
        st.caption(text.read("ended_stopped", n=len(now.tokens)))
    else:
        st.error(f"{now.reason}.", icon=":material/error:")
