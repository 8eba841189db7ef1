"""Chapter 5: which outputs depend on later tokens without the mask, training without it, and torch's flag."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gptcore.interpret import heads
from gptcore.runs.request import RunRequest
from pages.kit import (
    cell_map,
    chips,
    controls,
    curves,
    event_log,
    figures,
    lab,
    lab_runs,
    models,
    plots,
    prompt,
    session,
    words,
)
from pages.kit.cell_map import CellMap
from pages.kit.controls import Dial
from pages.kit.formulas import Formula, Line
from pages.kit.pronoun_story import beginning_that_fits
from pages.labs.attention import cached

SECONDS = 25


@st.fragment
def mask_removed() -> None:
    """Change a token and see which outputs change; then train a model that attends to later tokens."""
    text = words.load("05_attention")
    with lab.frame("c5_mask", text.read("lab_mask_title")):
        text.show("lab_mask")
        model = session.model_in_use()
        typed = prompt.text_input(text.read("lab_mask_text"), "c5_mask_text", beginning_that_fits(model))
        ids = model.tokenizer.encode(typed)
        if not 2 <= len(ids) <= model.config.context_length:
            st.info(f"Enter a text of 2 to {model.config.context_length} tokens.", icon=":material/info:")
            return
        side, picture_pane = lab.panes()
        with side:
            middle = (len(ids) + 1) // 2 + 1
            if int(st.session_state.get("c5_mask_at", middle)) > len(ids):
                del st.session_state["c5_mask_at"]  # chosen while the text was longer
            dial = Dial("", 1, len(ids), 1, "Positions count from 1.")
            position = controls.integer(text.read("lab_mask_place"), "c5_mask_at", dial, middle) - 1
            masked = controls.switch(text.read("lab_mask_on"), "c5_mask_on", True)
        _logit_changes(text, model, ids, position, masked, side, picture_pane)
        with_mask, without = cached.losses_with_and_without_mask(model)
        text.show("lab_mask_loss", with_mask=with_mask, without=without)
        lab.predict(
            "c5_mask",
            text.read("lab_mask_predict"),
            (
                text.read("lab_mask_predict_above"),
                text.read("lab_mask_predict_below"),
                text.read("lab_mask_predict_same"),
            ),
            right=1,
            because=text.read("lab_mask_predict_because"),
        )
        _train(text)


def _logit_changes(
    text: words.Words,
    model: models.ModelHandle,
    ids: list[int],
    position: int,
    masked: bool,
    side: DeltaGenerator,
    picture_pane: DeltaGenerator,
) -> None:
    """How much each position's logits change when the token at `position` is replaced, with the mask or without."""
    used = model.model if masked else cached.without_mask(model)
    replacement = _other_word(ids[position], model)
    changes = heads.logit_changes(used, ids, position, replacement).tolist()
    token_text = model.tokenizer.token_text
    tokens = [chips.visible(token_text(i)) for i in ids]
    with side:
        text.show(
            "lab_mask_says",
            old=tokens[position].strip("␣"),
            new=model.tokenizer.token_text(replacement).strip(),
            place=position + 1,
            before=position,
            leaking=sum(change > 0 for change in changes[:position]),
            after=len(ids) - position,
            moving=sum(change > 0 for change in changes[position:]),
        )
    numbered = [f"{number} {token}" for number, token in enumerate(tokens, start=1)]
    picture = plots.columns(
        numbered, {"change": changes}, y_title=text.read("lab_mask_chart"), form=".1f", height=260,
        revision="leak",
    )  # fmt: skip
    if len(changes) > cell_map.MOST_TEXT:
        picture.figure.update_traces(text=None)
    colors = [figures.VERMILION if i < position else figures.BLUE for i in range(len(changes))]
    picture.figure.update_traces(marker={"color": colors})
    figures.dotted_line(picture.figure, x=position - 0.5)
    with picture_pane:
        figures.show(picture, key="c5_mask_moved")


def _other_word(token_id: int, model: models.ModelHandle) -> int:
    """A different token, to replace this one with."""
    first, second = (model.tokenizer.encode(word)[0] for word in (" dragon", " king"))
    return first if first != token_id else second


def _train(text: words.Words) -> None:
    """The button that trains a model without a mask, and its result."""
    run = lab_runs.train(
        "c5_mask",
        text.read("lab_mask_train", seconds=SECONDS),
        request_without_mask,
        key="c5_mask_train",
        help=text.read("lab_mask_train_help", seconds=SECONDS),
    )
    if run is None or not (history := event_log.follow(run)).val_loss:
        return
    floor = history.start.get("floor")
    if floor is None:
        return
    text.show("lab_mask_ran", steps=history.last_step, loss=history.val_loss[-1], floor=floor)
    if history.val_loss[-1] < floor:
        text.show("lab_mask_cheats")
        if history.samples:
            with st.container(border=True):
                st.text(history.samples[-1]["text"].strip()[:400])
    else:
        text.show("lab_mask_not_yet")
    picture = curves.loss(history)
    figures.show(picture, key="c5_mask_loss")


def request_without_mask() -> RunRequest:
    """The run that trains a model that may attend to later tokens."""
    return lab_runs.lab_request({"causal": False}, seconds=SECONDS, n_samples=2, n_evals=12)


@st.fragment
def causal_flag() -> None:
    """The mask of torch's `is_causal` flag and the correct mask, with tokens in a cache."""
    text = words.load("05_attention")
    text.show("lab_flag")
    left, right = st.columns(2, gap="large")
    with left:
        new = controls.integer(
            text.read("lab_flag_new"),
            "c5_flag_new",
            Dial("", 1, 8, 1, "Tokens processed in one pass, one query each."),
            3,
        )
    with right:
        n_cached = controls.integer(
            text.read("lab_flag_cached"),
            "c5_flag_cached",
            Dial("", 0, 12, 1, "Keys already in the cache."),
            5,
        )
    masks = cached.causal_flag(new, n_cached)
    rows = [f"token {n_cached + i + 1}" for i in range(new)]
    columns = [str(i + 1) for i in range(new + n_cached)]
    for column, title, mask, key, start in (
        (left, text.read("lab_flag_right"), masks.right, "c5_flag_right", n_cached),
        (right, text.read("lab_flag_torch"), masks.torchs, "c5_flag_torch", 0),
    ):
        with column:
            st.markdown(f"**{title}**")
            drawing = CellMap(
                values=mask,
                rows=rows,
                columns=columns,
                what="allowed",
                first=(n_cached + 1, 1),
                numbers=".0f",
                height=24 * new,
            )
            cell_map.show(
                drawing,
                lambda row, key, start=start: allowed(row, key, n_cached, start),
                key=key,
                default=(0, min(n_cached, 1)),
            )
    if masks.wrong:
        text.show("lab_flag_says", wrong=masks.wrong, new=new, difference=masks.difference)
    else:
        text.show("lab_flag_same", difference=masks.difference)


def allowed(row: int, key: int, n_cached: int, start: int) -> Formula:
    """Whether a mask whose triangle starts after `start` keys lets a new token attend to a key; both count from 0."""
    last = start + row + 1
    is_allowed = key < last
    lines = (
        Line("position of the query", f"{n_cached} in the cache + {row + 1}", str(n_cached + row + 1)),
        Line("last key this mask allows", f"{start} + {row + 1}", str(last)),
        Line(
            "allowed",
            "",
            f"{'1' if is_allowed else '0'}, because {key + 1} {'≤' if is_allowed else '>'} {last}",
        ),
    )
    return Formula(f"Query: new token {row + 1}; key {key + 1}", lines, float(is_allowed))
