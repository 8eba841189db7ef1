"""Chapter 8: the run of the shipped model at any of its checkpoints."""

import streamlit as st

from pages.kit import controls, curves, event_log, figures, lab, plots, session, words
from pages.kit.history import History


def scored_moments(history: History) -> list:
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
    with lab.frame("c8_time", text.read("lab_time_title")):
        text.show("lab_time")
        session.caption_shipped_model()
        moments = scored_moments(event_log.shipped())
        if len(moments) < 3:
            text.show("no_finding")
            return
        steps = [sample["step"] for sample, _ in moments]
        at = controls.value_slider(text.read("lab_time_step"), "c8_time_step", steps, steps[len(steps) // 2])
        sample, loss = moments[steps.index(at)]
        last_sample, last_loss = moments[-1]
        first_loss = moments[0][1]
        ladder, final = sample["ladder"], last_sample["ladder"]
        rungs = list(curves.SCORES)
        text.show(
            "lab_time_says",
            step=at,
            loss=loss,
            share=(first_loss - loss) / (first_loss - last_loss),
            last=last_loss,
        )
        left, right = st.columns([3, 2], gap="large")
        with left, st.container(border=True, height=280):
            st.text(sample["text"].strip() or text.read("lab_time_empty"))
        with right:
            picture = plots.columns(
                [curves.SCORES[rung][0] for rung in rungs],
                {
                    f"step {at}": [ladder.get(rung) or 0.0 for rung in rungs],
                    "at the end": [final.get(rung) or 0.0 for rung in rungs],
                },
                y_title="story score",
                form=".0%",
                height=280,
                revision="c8_time",
            )
            picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.2])
            figures.show(picture, key="c8_time_bars")
        order = [curves.SCORES[rung][0] for rung in first_to_last(moments)]
        options = [text.read("lab_time_grammar"), text.read("lab_time_names"), text.read("lab_time_together")]
        early = order.index(curves.SCORES["rate"][0]) < order.index(curves.SCORES["names"][0])
        lab.predict(
            "c8_time",
            text.read("lab_time_predict"),
            options,
            right=0 if early else 1,
            because=text.read("lab_time_because", order=", ".join(order)),
            then={"c8_time_step": steps[1]},
        )
        with st.expander(text.read("lab_time_why_title"), icon=":material/help:"):
            text.show("lab_time_why")


def first_to_last(moments: list) -> list[str]:
    """The scores in the order in which they come half-way to where they end."""

    def half_way(rung: str) -> int:
        end = moments[-1][0]["ladder"].get(rung) or 0.0
        return next(
            (sample["step"] for sample, _ in moments if (sample["ladder"].get(rung) or 0.0) >= end / 2),
            moments[-1][0]["step"],
        )

    return sorted(curves.SCORES, key=half_way)
