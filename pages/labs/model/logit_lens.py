"""Chapter 7: the logit lens, the prediction of each layer."""

import streamlit as st

from gptcore.interpret.logit_lens import Reading
from pages.kit import cell_map, chips, escape, formulas, forward, lab, prompt, session, words
from pages.kit.cell_map import CellMap
from pages.kit.formulas import Formula
from pages.kit.models import ModelHandle
from pages.kit.pronoun_story import pronoun_story

GUESS = "c7_lens_guess"  # the widget of the prediction below


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
            found = forward.layer_readings(model, typed)
        except ValueError as error:
            st.error(escape.sentence(f"{error}."), icon=":material/error:")
            return
        n = len(traced.ids)
        st.caption(text.read("lab_lens_tokens"))
        place = chips.pick_chip(
            n,
            lambda at: [
                chips.Chip(chips.visible(token), "asks" if at == i else "plain")
                for i, token in enumerate(traced.tokens)
            ],
            key="c7_lens_at",
            label=text.read("lab_lens_tokens"),
            default=n - 1,
        )
        said = [chips.visible(model.tokenizer.token_text(one.best[place])) for one in found]
        names = [text.read("lab_lens_embedding"), *(f"layer {one.layer}" for one in found[1:])]
        settled = first_settled([one.best[place] for one in found])
        text.show(
            "lab_lens_says",
            token=chips.in_sentence(traced.tokens[place]),
            answer=said[-1].strip("␣"),
            share=found[-1].probability[place],
            where=names[settled],
        )
        left, right = st.columns([2, 3], gap="medium")
        with left:
            first = (
                0 if st.session_state.get(GUESS) is not None else 1
            )  # the answer to the question below stays hidden
            st.table(
                {
                    text.read("lab_lens_after"): names[first:],
                    text.read("lab_lens_would"): [escape.markdown(token) for token in said[first:]],
                    text.read("lab_lens_chance"): [f"{one.probability[place]:.0%}" for one in found[first:]],
                }
            )
            if first:
                st.caption(text.read("lab_lens_hidden"))
        with right:
            st.markdown(f"**{text.read('lab_lens_map')}**")
            draw_map(text, model, traced, found, names, (settled, place))
        predict(text, model, traced, found, place)


def draw_map(
    text: words.Words, model: ModelHandle, traced: forward.Traced, found: list[Reading], names, cell
) -> None:
    """The probability of the last layer's prediction at every layer and token; it opens where that settles."""
    drawing = CellMap(
        values=[reading.of_final for reading in found],
        rows=names,
        columns=[chips.visible(token) for token in traced.tokens],
        row_title="",
        column_title=text.read("lab_lens_column"),
        what=text.read("lab_lens_what"),
        height=26 * len(found),
    )

    def formula(layer: int, position: int) -> Formula:
        token_id = found[-1].best[position]
        token = chips.visible(model.tokenizer.token_text(token_id))
        return formulas.lens_probability(model.model, traced.seen, layer, position, token_id, token)

    cell_map.show(drawing, formula, key="c7_lens_map", default=cell)


def first_settled(best: list[int]) -> int:
    """The first layer from which on every reading has the top token of the last one."""
    at = len(best) - 1
    while at > 0 and best[at - 1] == best[-1]:
        at -= 1
    return at


def predict(text: words.Words, model, traced, found, place: int) -> None:
    """What the output layer predicts from the embedding alone, with tied or untied embeddings."""
    tied = model.config.tie_embeddings
    repeats = sum(best == own for best, own in zip(found[0].best, traced.ids)) / len(traced.ids)
    first, last = found[0].best[place], found[-1].best[place]
    because = (
        text.read("lab_lens_predict_tied", repeats=repeats)
        if tied
        else text.read("lab_lens_predict_untied", repeats=repeats)
    )
    lab.predict(
        "c7_lens",
        text.read("lab_lens_predict", token=chips.in_sentence(traced.tokens[place])),
        (
            text.read("lab_lens_predict_answer"),
            text.read("lab_lens_predict_common"),
            text.read("lab_lens_predict_same"),
        ),
        right=2 if first == traced.ids[place] else 0 if first == last else 1,
        because=because,
    )
