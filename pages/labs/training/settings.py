"""Chapter 8, folded away: a learning rate found in seconds, what a batch is worth, precision, runs compared."""

import streamlit as st

from gptcore.config import PRESETS
from pages.kit import controls, event_log, figures, lab, plots, session, words
from pages.kit.figures import Line
from pages.labs.runs import table
from pages.labs.training import cached

EVERY_SECONDS = 0.8
OPTIMIZERS = ("muon", "adamw")
PARTS = (1, 2, 4, 8, 16)
FORMATS = ("fp32", "bf16", "fp16")
MOVES = (0.1, 0.01, 0.001, 0.0001)
ASKED = "c8_sweep_asked"


@st.fragment
def rate_finder() -> None:
    """Sweep the rate over five powers of ten while a copy of a small model trains."""
    text = words.load("08_training")
    text.show("lab_sweep")
    optimizer = controls.choice(text.read("lab_sweep_optimizer"), "c8_sweep_optimizer", OPTIMIZERS)
    asked = optimizer in st.session_state.get(ASKED, ())
    going = asked and cached.swept(optimizer)[1]
    with st.container(horizontal=True):
        st.button(
            text.read("lab_sweep_again") if asked else text.read("lab_sweep_start"),
            key="c8_sweep_start",
            icon=":material/play_arrow:",
            disabled=going,
            on_click=_sweep,
            args=(optimizer, asked),
        )
        st.button(
            text.read("lab_sweep_stop"),
            key="c8_sweep_stop",
            icon=":material/stop:",
            disabled=not going,
            on_click=cached.stop_sweep,
            args=(optimizer,),
        )
    if asked:
        st.fragment(_swept, run_every=EVERY_SECONDS if going else None)(optimizer, going)
    lab.predict(
        "c8_sweep",
        text.read("lab_sweep_predict"),
        (text.read("lab_sweep_same"), text.read("lab_sweep_muon"), text.read("lab_sweep_adamw")),
        right=0,
        because=text.read("lab_sweep_because"),
        then={"c8_sweep_optimizer": "adamw"},
    )


def _sweep(optimizer: str, again: bool) -> None:
    """Start a sweep, anew where there was one. For callbacks."""
    if again:
        cached.sweep_again(optimizer)
    st.session_state[ASKED] = {*st.session_state.get(ASKED, ()), optimizer}


def _swept(optimizer: str, was_going: bool) -> None:
    from gptcore.training.rate_finder import GIVEN_UP, N_STEPS, SAFETY, Tried, suggest

    text = words.load("08_training")
    found, going = cached.swept(optimizer)
    tried = [Tried(**one) for one in found]
    st.progress(1.0 if not going else len(tried) / N_STEPS, text=text.read("lab_sweep_at", n=len(tried)))
    if tried:
        rate = suggest(tried)
        picture = plots.curves(
            [one.rate for one in tried],
            {"each step": [one.loss for one in tried], "smoothed": [one.smooth for one in tried]},
            x_title="learning rate", y_title="loss (nats per token)", log_x=True,
            mark_x=None if going else rate, revision=f"c8_sweep_{optimizer}",
        )  # fmt: skip
        picture.figure.update_xaxes(range=[-5, 0.5], dtick=1, tickmode="linear", exponentformat="power")
        st.plotly_chart(picture.figure, key="c8_sweep_curve", config=figures.CONFIG, alt=picture.alt)
        if not going:
            text.show(
                "lab_sweep_says",
                lowest=rate * SAFETY,
                share=SAFETY,
                rate=rate,
                last=tried[-1].rate,
                up=GIVEN_UP,
                preset=PRESETS["nano"].train.learning_rate,
            )
    if was_going and not going:
        st.rerun()


@st.fragment
def batches() -> None:
    """How well a batch's gradient points, by its size; and that a batch may be read in parts."""
    text = words.load("08_training")
    text.show("lab_batch")
    use = session.model_in_use()
    found = cached.batch_agreements(use)
    sizes = [one.size for one in found]
    middle = [sum(one.cosines) / len(one.cosines) for one in found]
    band = plots.Band(middle, [min(one.cosines) for one in found], [max(one.cosines) for one in found])
    picture = plots.curves(
        sizes, {"agreement": band}, x_title="windows in a batch", y_title="cosine with 64 others",
        log_x=True, y_range=(0, 1.05), lines=[Line("the same direction", 1.0)], height=260,
        revision="c8_batch",
    )  # fmt: skip
    st.plotly_chart(picture.figure, key="c8_batch_curve", config=figures.CONFIG, alt=picture.alt)
    text.show("lab_batch_says", small=middle[0], large=middle[-1], size=sizes[-1])
    parts = controls.stops(text.read("lab_batch_parts"), "c8_batch_parts", PARTS, 4)
    off, length = cached.batch_in_parts(use, parts)
    text.show("lab_batch_in_parts", parts=parts, windows=16 // parts, off=off, length=length)
    lab.predict(
        "c8_batch",
        text.read("lab_batch_predict"),
        (text.read("lab_batch_same"), text.read("lab_batch_worse"), text.read("lab_batch_longer")),
        right=0,
        because=text.read("lab_batch_because"),
        then={"c8_batch_parts": 16},
    )


@st.fragment
def precision() -> None:
    """A weight that small steps should move, kept in three formats; and what a step took in each, measured."""
    from gptcore.lessons.number_formats import stored, walked

    text = words.load("08_training")
    text.show("lab_precision")
    move = float(
        controls.listed(
            text.read("lab_precision_move"), "c8_precision_move", [f"{one:g}" for one in MOVES], default="0.001"
        )
    )  # fmt: skip
    ends = {name: walked(1.0, move, 100, name) for name in FORMATS}
    wanted = 1 + 100 * move
    picture = plots.columns(
        FORMATS,
        {"of the way walked": [(end - 1) / (wanted - 1) for end in ends.values()]},
        y_title="share of the way", form=".0%", height=240, revision="c8_precision",
    )  # fmt: skip
    st.plotly_chart(picture.figure, key="c8_precision_bars", config=figures.CONFIG, alt=picture.alt)
    text.show(
        "lab_precision_says",
        move=move,
        wanted=wanted,
        fp32=ends["fp32"],
        bf16=ends["bf16"],
        fp16=ends["fp16"],
    )
    measured = event_log.shipped().start.get("measured") or []
    if measured:
        text.show("lab_precision_time")
        st.dataframe(
            [
                {
                    "Precision": one["precision"],
                    "Attention": one["attention_path"],
                    "Threads": one["threads"],
                    "ms a step": 1000 * one["seconds_per_step"],
                }
                for one in measured
            ],
            key="c8_precision_times",
            hide_index=True,
            column_config={"ms a step": st.column_config.NumberColumn(format="%.0f")},
        )
    lab.predict(
        "c8_precision",
        text.read("lab_precision_predict"),
        (text.read("lab_precision_moves"), text.read("lab_precision_stands"), text.read("lab_precision_nan")),
        right=1,
        because=text.read("lab_precision_because", above=1 + stored(1.0, "bf16").next_above_one),
        then={"c8_precision_move": "0.0001"},
    )  # fmt: skip


@st.fragment
def compare() -> None:
    """Two runs of the reader's own side by side: losses, texts, and every choice in which they differ."""
    text = words.load("08_training")
    if len(session.runs()) < 2:
        text.show("lab_compare_none")
        return
    text.show("lab_compare")
    table.compare()
