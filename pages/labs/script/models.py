"""Chapter 10: what belongs to a model besides its weights, what a seed promises, and from base model to assistant."""

import math

import streamlit as st

from gptcore.experiments.measurements.script import MISREADINGS
from pages.kit import chips, controls, figures, lab, models, plots, story_data, words
from pages.labs.script import cached

RIGHT = "as it was trained"
OTHER_HEADS = "8 heads of 16"
PROMPT = "Once upon a time"
LENGTHS = (20, 40, 80, 120)
TUNING_STEPS = 60
EVERY_SECONDS = 1.0


@st.fragment
def misread() -> None:
    """The shipped weights under configs that change no shape."""
    text = words.load("10_script")
    with lab.frame("c10_misread", text.read("lab_misread_title")):
        text.show("lab_misread")
        what = controls.listed(
            text.read("lab_misread_what"), "c10_misread_as", list(MISREADINGS), default="norm_eps 0.1"
        )
        config = models.shipped().model.config
        right, loss = cached.loss_misread(RIGHT), cached.loss_misread(what)
        uniform = math.log(config.vocab_size)
        picture = plots.columns(
            (RIGHT, what if what != RIGHT else "the same", "a blind guess"),
            {"loss": [right, loss, uniform]},
            y_title=text.read("lab_misread_chart"),
            form=".2f",
            height=260,
            revision="misread",
        )
        st.plotly_chart(picture.figure, key="c10_misread_bars", config=figures.CONFIG, alt=picture.alt)
        text.show("lab_misread_says", loss=loss, right=right, uniform=uniform)
        because = ""
        if st.session_state.get("c10_misread_guess") is not None:
            other = cached.loss_misread(OTHER_HEADS)
            because = text.read("lab_misread_predict_because", right=right, loss=other)
        lab.predict(
            "c10_misread",
            text.read("lab_misread_predict", heads=config.n_heads, width=config.head_dim),
            (
                text.read("lab_misread_predict_error"),
                text.read("lab_misread_predict_same"),
                text.read("lab_misread_predict_loss"),
            ),
            right=2,
            because=because,
            then={"c10_misread_as": OTHER_HEADS},
        )


@st.fragment
def same_seed() -> None:
    """One seed, one prompt, weights as they are and rounded: where the two texts part."""
    text = words.load("10_script")
    with lab.frame("c10_seed", text.read("lab_seed_title")):
        text.show("lab_seed")
        left, right = st.columns(2, gap="large")
        with left:
            dial = controls.Dial("", 1, 60, 1, "The same seed gives the same draws.")
            seed = controls.whole(text.read("lab_seed_seed"), "c10_seed_seed", dial, 10)
        with right:
            n = controls.stops(text.read("lab_seed_tokens"), "c10_seed_tokens", LENGTHS, 40)
        first, second, place = cached.written_twice(PROMPT, seed, n)
        for column, title, tokens in (
            (left, text.read("lab_seed_left"), first),
            (right, text.read("lab_seed_right"), second),
        ):
            with column:
                st.markdown(f"**{title}**")
                chips.strip(
                    [
                        chips.Chip(
                            chips.visible(token), "new" if place is not None and at >= place else "plain", ""
                        )
                        for at, token in enumerate(tokens)
                    ],
                    key=f"c10_seed_strip_{'left' if column is left else 'right'}",
                    label=title,
                )
        if place is None:
            text.show("lab_seed_same")
        else:
            text.show("lab_seed_part", place=place + 1)
        lab.predict(
            "c10_seed",
            text.read("lab_seed_predict"),
            (
                text.read("lab_seed_predict_always"),
                text.read("lab_seed_predict_usually"),
                text.read("lab_seed_predict_never"),
            ),
            right=1,
            because=text.read("lab_seed_predict_because"),
        )


@st.fragment
def assistant() -> None:
    """The chat template as tokens, and a little tuning, before and after."""
    from gptcore.training.finetune import TEMPLATE

    text = words.load("10_script")
    with lab.frame("c10_tune", text.read("lab_tune_title")):
        text.show("lab_tune")
        text.show("lab_tune_tokens")
        tokenizer = story_data.story_tokenizer()
        pieces = [(TEMPLATE.format(name="Mira"), "chosen"), (f"{PROMPT} Mira lived near the sea.", "new")]
        chips.strip(
            [
                chips.Chip(chips.visible(tokenizer.token_text(token)), kind, "")
                for piece, kind in pieces
                for token in tokenizer.encode(piece)
            ],
            key="c10_tune_tokens",
            label="The template as tokens",
        )
        asked = st.session_state.get("c10_tune_asked", False)
        st.button(
            text.read("lab_tune_start", steps=TUNING_STEPS),
            key="c10_tune_start",
            icon=":material/play_arrow:",
            disabled=asked,
            on_click=_ask_for_tuning,
        )
        if asked:
            running = cached.tuned(TUNING_STEPS) is None
            st.fragment(_tuned, run_every=EVERY_SECONDS if running else None)(running)
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


def _ask_for_tuning() -> None:
    st.session_state["c10_tune_asked"] = True


def _tuned(was_running: bool) -> None:
    text = words.load("10_script")
    found = cached.tuned(TUNING_STEPS)
    if found is None:
        st.caption(f":shimmer[{text.read('lab_tune_running')}]")
        return
    if was_running:
        st.rerun()
    if not found:
        st.error(text.read("lab_tune_failed"), icon=":material/error:")
        return
    text.show(
        "lab_tune_says",
        n=found["n_answers"],
        before=found["followed_before"],
        after=found["followed_after"],
        first=found["losses"][0],
        last=found["losses"][-1],
    )
    for name, before, after in zip(found["asked"], found["before"], found["after"]):
        st.markdown(f"**Story about {name}:**")
        left, right = st.columns(2, gap="large")
        for column, title, answer in (
            (left, text.read("lab_tune_before"), before),
            (right, text.read("lab_tune_after"), after),
        ):
            with column.container(border=True):
                st.caption(title)
                st.text(answer.strip())
