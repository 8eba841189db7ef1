"""Chapter 9: one prompt with and without the cache, measured, then replayed side by side."""

import itertools
from collections.abc import Sequence

import streamlit as st

from gptcore import account
from gptcore.cache import KVCache
from gptcore.stories.writer import PROMPTS
from gptcore.tokenizer import EOT
from pages.kit import (
    controls,
    escape,
    figures,
    generation_figures,
    lab,
    prompt,
    replay,
    session,
    words,
)
from pages.kit.controls import Dial
from pages.kit.models import ModelHandle
from pages.labs.inference.race import LANES, PATIENCE_SECONDS, REPEATS, Entry, FrameClock, Race, smooth

CHUNK_SECONDS = 0.4
EVERY_SECONDS = 0.2
REPLAY_SECONDS = 8.0
CLEAR_CHANGE = 0.15  # relative change of the time per token; a smaller one counts as no change
SLOWER = (1, 2, 5, 10, 20, 50)


@st.fragment
def cache_race() -> None:
    """One prompt, two lanes: measured first, in chunks, then replayed and compared."""
    text = words.load("09_inference")
    with lab.frame("c9_race", text.read("lab_race_title")):
        text.show("lab_race")
        _two_lanes(text)


def _two_lanes(text: words.Words) -> None:
    model = session.model_in_use()
    config = model.config
    left, right = st.columns([3, 2], gap="large", vertical_alignment="bottom")
    with left:
        prompt_text = prompt.text_input(text.read("race_prompt"), "c9_prompt", PROMPTS[0], PROMPTS[:4])
    with right:
        step = min(8, max(1, config.context_length // 2))
        dial = Dial(
            "", step, config.context_length, step, text.read("new_help", context=config.context_length)
        )
        n_new = controls.integer(text.read("new_label"), "c9_new", dial, min(240, config.context_length))
        seed = controls.seed("c9_race_seed")
    n_prompt = len(model.tokenizer.encode_prompt(prompt_text))
    room = config.context_length - n_prompt + 1
    entry = Entry(model, prompt_text, min(n_new, max(1, room)), seed)
    running = _of_model("c9_running", model)
    measured = _of_model("c9_measured", model)
    if running is None and measured is None and not st.session_state.get("c9_problem"):
        running = st.session_state["c9_running"] = _first_race(entry)
    if running is not None and _measure(running, model):
        running, measured = None, _of_model("c9_measured", model)
    buttons, status = st.columns([2, 3], gap="medium", vertical_alignment="center")
    with buttons.container(horizontal=True):
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
    with status:
        if running is not None:
            st.fragment(_measuring, run_every=EVERY_SECONDS)(FrameClock())
        elif measured is not None and measured.entry != entry:
            st.caption(text.read("stale"))
        if problem := st.session_state.get("c9_problem"):
            st.error(escape.sentence(f"{problem}."), icon=":material/error:")
    if measured is not None:
        results(measured, model, text)
        predict_race(measured, text)
    elif running is not None:
        # Reserve the space of the results, so that the page below does not jump.
        st.container(height=540, border=False)


def predict_race(race: Race, text: words.Words) -> None:
    """The prediction about half as many tokens, answered from the first half of the same measurement."""
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
    """The measurement stored under this key, if it belongs to the model in use."""
    race: Race | None = st.session_state.get(key)
    return race if race is not None and race.entry.model.path == model.path else None


@st.cache_resource(max_entries=16, show_spinner=False)
def _first_race(entry: Entry) -> Race:
    """The first race of this entry on this server: all its visitors measure it together, and share its result."""
    return Race(entry)


def _start_race(entry: Entry) -> None:
    st.session_state["c9_problem"] = None
    st.session_state["c9_running"] = Race(entry)


def _stop_race() -> None:
    race: Race | None = st.session_state.pop("c9_running", None)
    if race is not None and race.is_comparable:
        st.session_state["c9_measured"] = race
    elif st.session_state.get("c9_measured") is None:
        st.session_state["c9_problem"] = words.load("09_inference").read("stopped_early")


def _measure(race: Race, model: ModelHandle) -> bool:
    """Measure for a moment; return whether the measurement has ended, with a result or with a problem."""
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


def _measuring(clock: FrameClock) -> None:
    """Continue measuring and show the progress; at the end, one run of the page shows the result."""
    text = words.load("09_inference")
    race: Race | None = st.session_state.get("c9_running")
    if race is None:
        return
    if not clock.first() and _measure(race, session.model_in_use()):
        st.rerun()
    st.progress(
        race.progress,
        text=text.read(
            "measuring",
            laps=REPEATS * len(LANES),
            seconds=PATIENCE_SECONDS,
            lap=max(1, len(race.laps)),
            lane=race.lap.lane,
        ),
    )


def _with_paragraphs(token: str) -> str:
    """A token in a text: the end of a story begins a new paragraph."""
    return "\n¶ " if token == EOT else token


def results(race: Race, model: ModelHandle, text: words.Words) -> None:
    """The comparison of token ids, the replay of both lanes, and the tabs with times, counts and bytes."""
    off, on = LANES
    seconds = {lane: race.seconds(lane) for lane in LANES}
    totals = {lane: sum(values) for lane, values in seconds.items()}
    n_new = len(race.tokens(on))
    different = race.first_difference()
    laps = sum(len(race.finished(lane)) for lane in LANES)
    if different is None:
        st.badge(text.read("identical", n=n_new, laps=laps), icon=":material/check_circle:", color="green")
    else:
        st.badge(text.read("different", position=different + 1), icon=":material/cancel:", color="red")
    longest, tokenizer = max(totals.values()), model.tokenizer
    slower = min(SLOWER, key=lambda factor: abs(factor * longest - REPLAY_SECONDS))
    speed = text.read("replay_slowed", slower=slower) if slower > 1 else text.read("replay_real_time")
    replay.lanes(
        race.entry.prompt,
        [
            replay.Lane(
                lane,
                [_with_paragraphs(tokenizer.token_text(i)) for i in race.tokens(lane)],
                list(itertools.accumulate(seconds[lane])),
            )
            for lane in LANES
        ],
        key="c9_lanes",
        play=f"{race.entry} {totals}",
        slower=slower,
        again=text.read("replay_again", speed=speed),
        skip=text.read("replay_skip", speed=speed),
        unit=text.read("rate_unit"),
    )
    n_prompt = len(tokenizer.encode_prompt(race.entry.prompt))
    names = [text.read("tab_times"), text.read("tab_rates"), text.read("tab_counts"), text.read("tab_memory")]
    times, rates, counts, memory = st.tabs(names, key="c9_race_tabs", on_change="rerun")
    if times.open:
        with times:
            time_curves(seconds, n_prompt, text)
    if rates.open:
        with rates:
            lanes_table(seconds, text)
    if counts.open:
        with counts:
            slogan(race, n_prompt, totals[off] / totals[on], text)
    if memory.open:
        with memory:
            cache_bytes(model, n_prompt, n_new, text)


def time_curves(seconds: dict[str, list[float]], n_prompt: int, text: words.Words) -> None:
    """The time of each new token in both lanes, and how it changes as the text grows."""
    off, on = LANES
    curves = {lane: smooth(values[1:]) for lane, values in seconds.items()}
    if len(seconds[on]) > 2:
        picture = generation_figures.time_per_token(
            curves, n_prompt + 1, points={lane: values[1:] for lane, values in seconds.items()}
        )
        text.show(
            "lab_race_curve",
            start=1000 * curves[off][0],
            end=1000 * curves[off][-1],
            flat=1000 * curves[on][0],
            flat_end=1000 * curves[on][-1],
            off=trend(curves[off], text),
            on=trend(curves[on], text),
        )
        figures.show(picture, key="c9_time")


def trend(seconds: Sequence[float], text: words.Words) -> str:
    """How the time per token changed from the first tokens to the last, in words."""
    change = seconds[-1] / seconds[0]
    if change > 1 + CLEAR_CHANGE:
        return text.read("lab_race_slower")
    return text.read("lab_race_faster" if change < 1 - CLEAR_CHANGE else "lab_race_even")


def lanes_table(seconds: dict[str, list[float]], text: words.Words) -> None:
    """Three numbers for each lane: tokens per second, and the time of the first and the last token."""
    for column, lane in zip(st.columns(2, gap="medium"), LANES, strict=True):
        values = seconds[lane]
        with column.container(border=True):
            st.caption(text.read("lane_title", lane=lane))
            rate, first, last = st.columns(3)
            rate.metric(text.read("rate"), f"{len(values) / sum(values):,.0f}")
            first.metric(text.read("first"), f"{1000 * values[0]:.1f} ms")
            last.metric(text.read("last"), f"{1000 * smooth(values)[-1]:.1f} ms")


def slogan(race: Race, n_prompt: int, faster: float, text: words.Words) -> None:
    """The factor that the slogan counts, compared with the measured one."""
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
    """Allocated and used bytes, with the numbers filled into the formula."""
    config, dtype = model.config, model.model.dtype
    # The capacity that `generate` chooses: prompt and new tokens, at most the context.
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
