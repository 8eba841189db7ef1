"""Chapter 8: the time machine over a run, and runs that are broken on purpose."""

import os

import streamlit as st

from pages.kit import controls, curves, figures, lab, live, plots, session, words
from pages.kit.curves import History

SECONDS = 20
N_FEW = 12  # stories in a text that is too small
FAULTS = {"looks ahead": "causal=false", "rate × 300": "learning_rate=3", "tiny text": ""}
TRUTH = {"looks ahead": "looks ahead", "rate × 300": "learns nothing", "tiny text": "learns by heart"}
RUN = "c8_fault_run"


def scored(history: History) -> list:
    """The moments of a run at which its texts were scored, each with the loss measured nearest to it."""
    losses = list(zip(history.eval_steps, history.val_loss))
    return [
        (sample, min(losses, key=lambda point: abs(point[0] - sample["step"]))[1])
        for sample in history.samples
        if sample.get("ladder") and losses
    ]


@st.fragment
def time_machine() -> None:
    """Turn a run back to any moment at which it wrote: the text, the loss, the four scores."""
    text = words.load("08_training")
    with lab.bench("c8_time", text.read("lab_time_title")):
        text.show("lab_time")
        moments = scored(session.shipped_history())
        if len(moments) < 3:
            text.show("no_finding")
            return
        steps = [sample["step"] for sample, _ in moments]
        at = controls.stops(text.read("lab_time_step"), "c8_time_step", steps, steps[len(steps) // 2])
        sample, loss = moments[steps.index(at)]
        last_sample, last_loss = moments[-1]
        first_loss = moments[0][1]
        ladder, final = sample["ladder"], last_sample["ladder"]
        rungs = list(curves.RUNGS)
        text.show(
            "lab_time_says",
            step=at,
            loss=loss,
            share=(first_loss - loss) / (first_loss - last_loss),
            last=last_loss,
        )
        left, right = st.columns([3, 2], gap="large")
        with left, st.container(border=True, height=300):
            st.text(sample["text"].strip() or text.read("lab_time_empty"))
        with right:
            picture = plots.columns(
                [curves.RUNGS[rung][0] for rung in rungs],
                {
                    f"step {at}": [ladder.get(rung) or 0.0 for rung in rungs],
                    "at the end": [final.get(rung) or 0.0 for rung in rungs],
                },
                y_title="share right", form=".0%", height=300, revision="c8_time",
            )  # fmt: skip
            picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.2])
            st.plotly_chart(picture.figure, key="c8_time_bars", config=figures.CONFIG, alt=picture.alt)
        order = [curves.RUNGS[rung][0] for rung in first_to_last(moments)]
        options = [text.read("lab_time_grammar"), text.read("lab_time_names"), text.read("lab_time_together")]
        early = order.index(curves.RUNGS["rate"][0]) < order.index(curves.RUNGS["names"][0])
        lab.predict(
            "c8_time",
            text.read("lab_time_predict"),
            options,
            right=0 if early else 1,
            because=text.read("lab_time_because", order=", ".join(order)),
            then={"c8_time_step": steps[1]},
        )
        text.show("lab_time_why")


def first_to_last(moments: list) -> list[str]:
    """The scores in the order in which they come half-way to where they end."""

    def half_way(rung: str) -> int:
        end = moments[-1][0]["ladder"].get(rung) or 0.0
        return next(
            (sample["step"] for sample, _ in moments if (sample["ladder"].get(rung) or 0.0) >= end / 2),
            moments[-1][0]["step"],
        )

    return sorted(curves.RUNGS, key=half_way)


@st.fragment
def broken() -> None:
    """Three faults that show at this size, run for real, and what the curves say of them."""
    text = words.load("08_training")
    with lab.bench("c8_fault", text.read("lab_fault_title")):
        text.show("lab_fault")
        fault = controls.choice(text.read("lab_fault_which"), "c8_fault_which", list(FAULTS))
        if fault == "looks ahead":
            text.show("lab_fault_ahead")
        elif fault == "tiny text":
            text.show("lab_fault_tiny", n=N_FEW)
        else:
            text.show("lab_fault_rate")
        run = session.run_named((st.session_state.get(RUN) or {}).get(fault))
        alive = run is not None and session.is_alive(run)
        st.button(
            text.read("lab_fault_start", seconds=SECONDS),
            key="c8_fault_start",
            icon=":material/play_arrow:",
            disabled=alive,
            on_click=_start,
            args=(fault,),
            help=text.read("lab_fault_help", seconds=SECONDS),
        )
        if problem := st.session_state.get("c8_fault_problem"):
            st.error(problem, icon=":material/error:")
        if run is not None:
            live.brief(run, "c8_fault")
            if not alive:
                diagnosis(session.history(run), fault, text)
        lab.predict(
            "c8_fault",
            text.read("lab_fault_predict"),
            (text.read("lab_fault_lowest"), text.read("lab_fault_healthy"), text.read("lab_fault_highest")),
            right=0,
            because=text.read("lab_fault_because"),
            then={"c8_fault_which": "looks ahead"},
        )
        text.show("lab_fault_cannot")


def diagnosis(history: History, fault: str, text: words.Words) -> None:
    """What the rule of the page says of a finished run, and its curves beside the levels it is judged by."""
    from gptcore.measurements.training import diagnose

    if not history.val_loss or history.start.get("unigram") is None:
        return
    floor, unigram = history.start.get("floor"), history.start["unigram"]
    found = diagnose(history.loss, history.val_loss, unigram=unigram, floor=floor)
    text.show(
        "lab_fault_says",
        found=found,
        loss=history.loss[-1],
        val=history.val_loss[-1],
        best=min(history.val_loss),
        unigram=unigram,
        floor="unknown" if floor is None else f"{floor:.2f}",
    )
    if found != TRUTH[fault]:
        text.show("lab_fault_not_yet")
    picture = curves.loss(history)
    st.plotly_chart(picture.figure, key="c8_fault_loss", config=figures.CONFIG, alt=picture.alt)


def _start(fault: str) -> None:
    """Ask for a run with this fault. For callbacks."""
    corpus = "stories"
    try:
        if fault == "tiny text":
            corpus = str(session.keep_text("\n\n".join(session.fresh_stories(N_FEW)).encode()))
        arguments = [
            "--preset",
            "nano",
            "--corpus",
            corpus,
            "--seconds",
            str(SECONDS),
            "--seed",
            "1",
            "--set",
        ]
        arguments += [f"threads={max(1, (os.cpu_count() or 2) - 1)}", "n_samples=2", "n_evals=12"]
        arguments += [FAULTS[fault]] if FAULTS[fault] else []
        kept = st.session_state.get(RUN) or {}
        st.session_state[RUN] = {**kept, fault: session.start_run(arguments, lab=True).id}
        st.session_state["c8_fault_problem"] = None
    except (ValueError, OSError) as error:
        st.session_state["c8_fault_problem"] = str(error)
