"""Chapter 6: what each sub-layer adds to the residual stream, and which one moves information between tokens."""

import math

import streamlit as st

from gptcore.interpret.gradient_depth import moved_by_token_change, residual_updates
from pages.kit import chips, controls, escape, figures, forward, lab, models, plots, prompt, session, words
from pages.kit.controls import Dial
from pages.labs.block import cached

TEXT = "Long ago, a queen named Mira lived in a castle with a dog. She wanted a golden ring."


def traced_text(text: words.Words, key: str, *, initial: bool = False) -> forward.Traced | None:
    """The trace of a text through the model in use, or None after an error message."""
    model = session.model_in_use()
    typed = prompt.text_input(text.read("lab_written_text"), key, TEXT)
    try:
        if initial:
            return cached.traced_before_training(model, typed)
        return forward.traced(model, typed)
    except ValueError as error:
        st.error(escape.sentence(f"{error}."), icon=":material/error:")
        return None


@st.fragment
def update_sizes() -> None:
    """Each sub-layer's fraction of the final residual stream, and the loss with one block turned off."""
    text = words.load("06_block")
    with lab.frame("c6_written", text.read("lab_written_title")):
        text.show("lab_written")
        left, right = st.columns(2, gap="large", vertical_alignment="bottom")
        metrics = {text.read("lab_written_share"): "fraction", text.read("lab_written_beside"): "beside"}
        with left:
            metric = controls.choice(text.read("lab_written_metric"), "c6_written_metric", list(metrics))
        with right:
            initial = controls.switch(text.read("lab_written_born"), "c6_written_born")
        model = session.model_in_use()
        traced = traced_text(text, "c6_written_text", initial=initial)
        if traced is not None:
            updates = residual_updates(traced.seen, model.config)
            adds_up = not math.isnan(updates[0].fraction)
            _draw_updates(text, updates, metrics[metric] if adds_up else "beside")
            if adds_up:
                _contribution_sentence(text, updates)
            else:
                text.show("lab_written_post")
        _predict_ablation(text, model)


def _predict_ablation(text: words.Words, model: models.ModelHandle) -> None:
    """A prediction of the block that matters most; it is measured when the visitor has answered."""
    n, right, because = model.config.n_layers, 0, ""
    if st.session_state.get("c6_written_guess") is not None:
        whole, ablated = cached.losses_without_each_block(model)
        right = ablated.index(max(ablated))
        losses = ", ".join(f"{block}: **{loss:.2f}**" for block, loss in enumerate(ablated, 1))
        because = text.read("lab_written_predict_because", whole=whole, losses=escape.Markdown(losses))
    lab.predict(
        "c6_written",
        text.read("lab_written_predict"),
        [text.read("lab_written_predict_option", block=block + 1) for block in range(n)],
        right=right,
        because=because,
    )


def _draw_updates(text: words.Words, updates, metric: str) -> None:
    names = [update.name.replace("feedforward", "feed-forward") for update in updates]
    fractions = metric == "fraction"
    picture = plots.columns(
        names,
        {"update": [getattr(update, metric) for update in updates]},
        y_title=text.read("lab_written_chart_share" if fractions else "lab_written_chart_beside"),
        form=".1%" if fractions else ".2f",
        height=300,
        revision=f"written {metric}",
    )
    colors = {"e": figures.GREY, "a": figures.BLUE, "f": figures.ORANGE}
    picture.figure.update_traces(marker={"color": [colors[name[0]] for name in names]})
    lowest = min(0.0, *(getattr(update, metric) for update in updates))
    highest = max(getattr(update, metric) for update in updates)
    picture.figure.update_yaxes(range=[1.3 * lowest, 1.18 * highest], tickformat=".0%" if fractions else None)
    figures.show(picture, key="c6_written_bars")


def _contribution_sentence(text: words.Words, updates) -> None:
    most = max(updates, key=lambda update: update.fraction)
    text.show(
        "lab_written_says",
        most=most.name.replace("feedforward", "feed-forward"),
        share=most.fraction,
        embedding=updates[0].fraction,
        attention=sum(update.fraction for update in updates if update.name.startswith("attention")),
        feedforward=sum(update.fraction for update in updates if update.name.startswith("feedforward")),
    )


@st.fragment
def position_mixing() -> None:
    """Change one token: which outputs of attention change, and which of the feed-forward network."""
    text = words.load("06_block")
    text.show("lab_mix")
    traced = traced_text(text, "c6_mix_text")
    if traced is None:
        return
    n = len(traced.ids)
    if n < 2:
        return
    if int(st.session_state.get("c6_mix_at", 1)) > n:
        del st.session_state["c6_mix_at"]  # chosen while the text was longer
    position = (
        controls.integer(
            text.read("lab_mix_place"), "c6_mix_at", Dial("", 1, n, 1, "Positions count from 1."), min(6, n)
        )
        - 1
    )
    attention, feedforward = moved_by_token_change(session.model_in_use().model, list(traced.ids), position)
    tokens = [f"{at + 1} {chips.visible(token)}" for at, token in enumerate(traced.tokens)]
    picture = plots.columns(
        tokens,
        {"attention": attention, "feed-forward": feedforward},
        y_title=text.read("lab_mix_chart"),
        form=".2f",
        height=280,
        revision="mix",
    )
    picture.figure.update_traces(text=None)
    figures.show(picture, key="c6_mix_bars")
    others = [at for at in range(n) if at != position]
    text.show(
        "lab_mix_says",
        attention=sum(attention[at] > 0 for at in others),
        feedforward=sum(feedforward[at] > 0 for at in others),
    )
