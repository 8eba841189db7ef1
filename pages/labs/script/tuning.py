"""Chapter 10: from base model to assistant: the chat template and a short fine-tuning run."""

import streamlit as st

from gptcore.training.finetune import TEMPLATE
from pages.kit import chips, escape, lab, story_data, words
from pages.labs.script import cached
from pages.labs.script.same_seed import PROMPT

TUNING_STEPS = 60
EVERY_SECONDS = 0.8
OF_STEPS = 0.8  # of the bar; the rest is for the answers generated at the end


@st.fragment
def tuning() -> None:
    """Show the chat template as tokens, fine-tune the shipped model, and compare answers before and after."""
    text = words.load("10_script")
    with lab.frame("c10_tune", text.read("lab_tune_title")):
        text.show("lab_tune")
        text.show("lab_tune_tokens")
        tokenizer = story_data.story_tokenizer()
        parts = [(TEMPLATE.format(name="Mira"), "chosen"), (f"{PROMPT} Mira lived near the sea.", "new")]
        chips.strip(
            [
                chips.Chip(chips.visible(tokenizer.token_text(token)), kind, "")
                for part, kind in parts
                for token in tokenizer.encode(part)
            ],
            key="c10_tune_tokens",
            label="The template as tokens",
        )
        requested = st.session_state.get("c10_tune_asked", False)
        running = requested and not cached.tuning(TUNING_STEPS).is_done()
        button, state = st.columns([2, 3], gap="medium", vertical_alignment="center")
        button.button(
            text.read("lab_tune_start", steps=TUNING_STEPS),
            key="c10_tune_start",
            icon=":material/play_arrow:",
            disabled=requested,
            on_click=_request_tuning,
        )
        if running:
            with state:
                st.fragment(_progress, run_every=EVERY_SECONDS)()
        elif requested:
            _show_answers()
        lab.predict(
            "c10_tune",
            text.read("lab_tune_predict"),
            (
                text.read("lab_tune_predict_story"),
                text.read("lab_tune_predict_form"),
                text.read("lab_tune_predict_refuse"),
            ),
            right=1,
            because=text.read("lab_tune_predict_because"),
        )


def _request_tuning() -> None:
    st.session_state["c10_tune_asked"] = True


def _progress() -> None:
    """Show the progress: first the training steps, then the generation of answers."""
    text, job = words.load("10_script"), cached.tuning(TUNING_STEPS)
    if job.is_done():
        st.rerun()
    losses = job.reports
    if not losses:
        st.progress(0.0, text=text.read("lab_tune_starting"))
    elif len(losses) < TUNING_STEPS:
        message = text.read("lab_tune_running", step=len(losses), steps=TUNING_STEPS, loss=losses[-1])
        st.progress(OF_STEPS * len(losses) / TUNING_STEPS, text=message)
    else:
        st.progress(OF_STEPS, text=text.read("lab_tune_answering"))


def _show_answers() -> None:
    """Show the answers before and after fine-tuning."""
    text, job = words.load("10_script"), cached.tuning(TUNING_STEPS)
    if error := job.error():
        st.error(text.read("lab_tune_failed", reason=error), icon=":material/error:")
        return
    result = job.result()
    text.show(
        "lab_tune_says",
        n=result["n_answers"],
        before=result["followed_before"],
        after=result["followed_after"],
        first=result["losses"][0],
        last=result["losses"][-1],
    )
    for name, before, after in zip(result["asked"], result["before"], result["after"]):
        st.markdown(f"**Story about {escape.markdown(name)}:**")
        left, right = st.columns(2, gap="large")
        for column, title, answer in (
            (left, text.read("lab_tune_before"), before),
            (right, text.read("lab_tune_after"), after),
        ):
            with column.container(border=True):
                st.caption(title)
                st.text(answer.strip())
