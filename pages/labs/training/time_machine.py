"""Chapter 8: the shipped model's run at any step at which it generated text."""

import streamlit as st

from pages.kit import controls, curves, event_log, figures, lab, plots, session, words
from pages.kit.history import History


def scored_samples(history: History) -> list:
    """The samples of a run that have story scores, each with the validation loss nearest to its step."""
    losses = list(zip(history.eval_steps, history.val_loss))
    return [
        (sample, min(losses, key=lambda point: abs(point[0] - sample["step"]))[1])
        for sample in history.samples
        if sample.get("ladder") and losses
    ]


@st.fragment
def time_machine() -> None:
    """Show the generated text, the loss and the four scores at a chosen step."""
    text = words.load("08_training")
    with lab.frame("c8_time", text.read("lab_time_title")):
        text.show("lab_time")
        session.caption_shipped_model()
        samples = scored_samples(event_log.shipped())
        if len(samples) < 3:
            text.show("no_finding")
            return
        steps = [sample["step"] for sample, _ in samples]
        step = controls.value_slider(
            text.read("lab_time_step"), "c8_time_step", steps, steps[len(steps) // 2]
        )
        sample, loss = samples[steps.index(step)]
        last_sample, last_loss = samples[-1]
        first_loss = samples[0][1]
        scores, final = sample["ladder"], last_sample["ladder"]
        names = list(curves.SCORES)
        text.show(
            "lab_time_says",
            step=step,
            loss=loss,
            share=(first_loss - loss) / (first_loss - last_loss),
            last=last_loss,
        )
        left, right = st.columns([3, 2], gap="large")
        with left, st.container(border=True, height=280):
            st.text(sample["text"].strip() or text.read("lab_time_empty"))
        with right:
            picture = plots.columns(
                [curves.SCORES[name][0] for name in names],
                {
                    f"step {step}": [scores.get(name) or 0.0 for name in names],
                    "at the end": [final.get(name) or 0.0 for name in names],
                },
                y_title="story score",
                form=".0%",
                height=280,
                revision="c8_time",
            )
            picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.2])
            figures.show(picture, key="c8_time_bars")
        order = [curves.SCORES[name][0] for name in first_to_last(samples)]
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


def first_to_last(samples: list) -> list[str]:
    """The scores in the order in which they reach half of their final values."""

    def half_way(score: str) -> int:
        end = samples[-1][0]["ladder"].get(score) or 0.0
        return next(
            (sample["step"] for sample, _ in samples if (sample["ladder"].get(score) or 0.0) >= end / 2),
            samples[-1][0]["step"],
        )

    return sorted(curves.SCORES, key=half_way)
