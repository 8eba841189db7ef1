"""Chapter 7: the logit lens, the prediction of each layer."""

import streamlit as st

from gptcore.interpret.logit_lens import Reading
from pages.kit import cell_map, chips, escape, formulas, forward, lab, prompt, session, words
from pages.kit.cell_map import CellMap
from pages.kit.formulas import Formula
from pages.kit.models import ModelHandle
from pages.kit.pronoun_story import pronoun_story

GUESS = "c7_lens_guess"  # the key of the question below the lens


@st.fragment
def lens() -> None:
    """Apply the output layer to the residual stream after each layer."""
    text = words.load("07_model")
    with lab.frame("c7_lens", text.read("lab_lens_title")):
        text.show("lab_lens")
        model = session.model_in_use()
        typed = prompt.text_input(text.read("lab_lens_text"), "c7_lens_text", pronoun_story().text)
        try:
            traced = forward.traced(model, typed)
            readings = forward.layer_readings(model, typed)
        except ValueError as error:
            st.error(escape.sentence(f"{error}."), icon=":material/error:")
            return
        n = len(traced.ids)
        st.caption(text.read("lab_lens_tokens"))
        position = chips.pick_chip(
            n,
            lambda at: [
                chips.Chip(chips.visible(token), "asks" if at == i else "plain")
                for i, token in enumerate(traced.tokens)
            ],
            key="c7_lens_at",
            label=text.read("lab_lens_tokens"),
            default=n - 1,
        )
        top_tokens = [
            chips.visible(model.tokenizer.token_text(reading.best[position])) for reading in readings
        ]
        names = [text.read("lab_lens_embedding"), *(f"layer {reading.layer}" for reading in readings[1:])]
        settled = first_settled([reading.best[position] for reading in readings])
        text.show(
            "lab_lens_says",
            token=chips.in_sentence(traced.tokens[position]),
            answer=top_tokens[-1].strip("␣"),
            share=readings[-1].probability[position],
            where=names[settled],
        )
        left, right = st.columns([2, 3], gap="medium")
        with left:
            # The row of the embedding answers the question below, so it appears after the answer.
            first = 0 if st.session_state.get(GUESS) is not None else 1
            st.table(
                {
                    text.read("lab_lens_after"): names[first:],
                    text.read("lab_lens_would"): [escape.markdown(token) for token in top_tokens[first:]],
                    text.read("lab_lens_chance"): [
                        f"{reading.probability[position]:.0%}" for reading in readings[first:]
                    ],
                }
            )
            if first:
                st.caption(text.read("lab_lens_hidden"))
        with right:
            st.markdown(f"**{text.read('lab_lens_map')}**")
            draw_map(text, model, traced, readings, names, (settled, position))
        predict(text, model, traced, readings, position)


def draw_map(
    text: words.Words, model: ModelHandle, traced: forward.Traced, readings: list[Reading], names, cell
) -> None:
    """The probability of the final prediction at every layer and token; the cell where it settles is selected."""
    drawing = CellMap(
        values=[reading.of_final for reading in readings],
        rows=names,
        columns=[chips.visible(token) for token in traced.tokens],
        row_title="",
        column_title=text.read("lab_lens_column"),
        what=text.read("lab_lens_what"),
        height=26 * len(readings),
    )

    def formula(layer: int, position: int) -> Formula:
        token_id = readings[-1].best[position]
        token = chips.visible(model.tokenizer.token_text(token_id))
        return formulas.lens_probability(model.model, traced.seen, layer, position, token_id, token)

    cell_map.show(drawing, formula, key="c7_lens_map", default=cell)


def first_settled(best: list[int]) -> int:
    """The index of the first reading from which the top token no longer changes."""
    first = len(best) - 1
    while first > 0 and best[first - 1] == best[-1]:
        first -= 1
    return first


def predict(text: words.Words, model, traced, readings, position: int) -> None:
    """What the output layer predicts from the embedding alone, with tied or untied embeddings."""
    tied = model.config.tie_embeddings
    repeats = sum(best == own for best, own in zip(readings[0].best, traced.ids)) / len(traced.ids)
    first, last = readings[0].best[position], readings[-1].best[position]
    because = (
        text.read("lab_lens_predict_tied", repeats=repeats)
        if tied
        else text.read("lab_lens_predict_untied", repeats=repeats)
    )
    lab.predict(
        "c7_lens",
        text.read("lab_lens_predict", token=chips.in_sentence(traced.tokens[position])),
        (
            text.read("lab_lens_predict_answer"),
            text.read("lab_lens_predict_common"),
            text.read("lab_lens_predict_same"),
        ),
        right=2 if first == traced.ids[position] else 0 if first == last else 1,
        because=because,
    )
