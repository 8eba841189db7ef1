"""Chapter 5: what each head attends to, and what the model predicts without one."""

import streamlit as st

from gptcore.interpret import heads
from pages.kit import (
    cell_map,
    chips,
    controls,
    escape,
    figures,
    formulas,
    forward,
    generation_figures,
    lab,
    plots,
    prompt,
    session,
    words,
)
from pages.kit.cell_map import CellMap
from pages.kit.formulas import Formula, HeadCell, Line, Operands, number
from pages.kit.models import ModelHandle
from pages.kit.name_head import default_head, find_name_head, next_tokens, pick_head, shaded_tokens
from pages.kit.pronoun_story import PronounStory, beginning_that_fits, pronoun_story, storyteller

SHADINGS = ("attention weight", "contribution")
MORE_TEXTS = ("The queen had a ring. The queen lost her",)


@st.fragment
def attention_maps() -> None:
    """Click a token, see what every head attends to from there, and turn heads off."""
    text = words.load("05_attention")
    with lab.frame("c5_heads", text.read("lab_heads_title")):
        text.show("lab_heads")
        model, story = session.model_in_use(), pronoun_story()
        teller = storyteller()
        typed = prompt.text_input(
            text.read("lab_heads_text"),
            "c5_heads_text",
            beginning_that_fits(model),
            (story.other_text, *MORE_TEXTS),
        )
        try:
            traced = forward.traced(model, typed)
        except ValueError as error:
            st.error(escape.sentence(f"{error}."), icon=":material/error:")
            return
        best = default_head(model)
        strip = st.container()
        side, picture_pane = lab.panes()
        with side:
            layer, head = pick_head("c5_heads_head", text.read("lab_heads_head"), model.config, best)
            shading = controls.choice(
                text.read("lab_heads_what"), "c5_heads_what", SHADINGS, help=text.read("lab_heads_what_help")
            )
        proportions = attention_map(traced, shading)  # (L, H, T, T), each row sums to 1
        with strip:
            query_position = pick_query(traced, proportions[layer, head], text)
        with side:
            describe_head(traced, layer, head, query_position, text)
            next_words(model, typed, traced, layer, head, query_position, text)
        with picture_pane:
            every_head(
                model,
                traced,
                proportions,
                shading,
                HeadCell(layer, head, query_position, query_position),
                text,
            )
        predict_other_name(teller, story, text)


def pick_query(traced: forward.Traced, proportions, text: words.Words) -> int:
    """The tokens, shaded by their weights from the chosen one; a click chooses another."""
    n = len(traced.ids)
    return chips.pick_chip(
        n,
        lambda at: shaded_tokens(traced.tokens, proportions[at].tolist(), at),
        key="c5_heads_at",
        label=text.read("lab_heads_tokens"),
        default=n - 1,
    )


def attention_map(traced: forward.Traced, shading: str):
    """The attention weights of all heads, or the contributions as fractions of the sum of each row."""
    if shading == SHADINGS[0]:
        return heads.weights(traced.seen)
    lengths = heads.weighted_value_norms(traced.seen)
    return lengths / lengths.sum(-1, keepdim=True)


def describe_head(
    traced: forward.Traced, layer: int, head: int, query_position: int, text: words.Words
) -> None:
    """What the chosen head attends to from the chosen token and on average over the text."""
    weights = heads.weights(traced.seen)
    row = weights[layer, head, query_position]
    most_attended = int(row.argmax())
    has_earlier_tokens = len(traced.ids) > 1
    text.show(
        "lab_heads_says",
        layer=layer + 1,
        head=head + 1,
        token=chips.in_sentence(traced.tokens[query_position]),
        seen=chips.in_sentence(traced.tokens[most_attended]),
        share=float(row[most_attended]),
        before=float(heads.previous_token(weights)[layer, head]) if has_earlier_tokens else 0.0,
        self=float(heads.current_token(weights)[layer, head]) if has_earlier_tokens else 1.0,
        first=float(heads.first_token(weights)[layer, head]) if has_earlier_tokens else 1.0,
    )


def every_head(
    model: ModelHandle, traced: forward.Traced, proportions, shading: str, chosen: HeadCell, text: words.Words
) -> None:
    """All heads as rows: where each attends from the chosen token; and the whole matrix of the chosen head."""
    n_layers, n_heads = proportions.shape[:2]
    layer, head, query_position, _ = chosen
    tokens = [chips.visible(token) for token in traced.tokens]
    rows = [f"{i // n_heads + 1}.{i % n_heads + 1}" for i in range(n_layers * n_heads)]
    value = "attention weight" if shading == SHADINGS[0] else "proportion"
    explain = formulas.attention_weight if shading == SHADINGS[0] else formulas.weighted_value
    best = int(proportions[layer, head, query_position].argmax())

    def formula(cell: HeadCell) -> Formula:
        return explain(traced.seen, model.config, cell, tokens)

    token = chips.in_sentence(traced.tokens[query_position])
    heads_tab, square_tab = st.tabs(
        [text.read("lab_heads_map", n=len(rows), token=token), text.read("lab_heads_square")]
    )
    with heads_tab:
        drawing = CellMap(
            values=proportions[:, :, query_position, : query_position + 1].flatten(0, 1).tolist(),
            rows=rows,
            columns=tokens[: query_position + 1],
            row_title="layer.head",
            what=value,
            mark_row=layer * n_heads + head,
            height=14 * len(rows),
            alt=f"Where each head attends from {tokens[query_position]}; layer {layer + 1}, head {head + 1} is framed.",
        )
        cell_map.show(
            drawing,
            lambda row, key: formula(HeadCell(*divmod(row, n_heads), query_position, key)),
            key="c5_heads_map",
            default=(layer * n_heads + head, best),
        )
    with square_tab:
        drawing = CellMap(
            values=proportions[layer, head].tolist(),
            rows=tokens,
            columns=tokens,
            what=value,
            mark_row=query_position,
            height=14 * len(rows),
        )
        cell_map.show(
            drawing,
            lambda query, key: formula(HeadCell(layer, head, query, key)),
            key="c5_heads_square",
            default=(query_position, best),
        )


def next_words(
    model, typed: str, traced: forward.Traced, layer: int, head: int, query_position: int, text: words.Words
) -> None:
    """The next-token predictions after the chosen token, and without the head if it is turned off."""
    beginning = model.tokenizer.decode(list(traced.ids[: query_position + 1]))
    off = controls.switch(text.read("lab_heads_off"), "c5_heads_off", help=text.read("lab_heads_caution"))
    token = chips.in_sentence(traced.tokens[query_position])
    predictions = next_tokens(model, beginning, None)
    names = tuple(name for name, _ in predictions)
    if not off:
        st.markdown(f"**{text.read('lab_heads_next', token=token)}**")
        picture = generation_figures.probability_bars(
            names, [p for _, p in predictions], height=160, revision="next"
        )
    else:
        st.markdown(f"**{text.read('lab_heads_next_off', layer=layer + 1, head=head + 1)}**")
        picture = with_and_without(model, beginning, predictions, (layer, head))
    figures.show(picture, key="c5_heads_next")


def with_and_without(
    model, beginning: str, predictions: list[tuple[str, float]], off: tuple[int, int]
) -> figures.Picture:
    """The most probable tokens with the head and without it, each with both probabilities."""
    without = dict(next_tokens(model, beginning, off, most=model.config.vocab_size))
    with_head = dict(next_tokens(model, beginning, None, most=model.config.vocab_size))
    names = list(dict.fromkeys([name for name, _ in predictions[:4]] + list(without)[:4]))
    picture = plots.columns(
        [chips.visible(name) for name in names],
        {
            "with the head": [with_head[name] for name in names],
            "without it": [without[name] for name in names],
        },
        y_title="probability of the next token",
        form=".0%",
        height=200,
        revision="next off",
    )
    picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.2])
    return picture


def predict_other_name(teller, story: PronounStory, text: words.Words) -> None:
    """Predict what the head that finds the name attends to in the same text with another name."""
    session.caption_other_model(teller)
    best = find_name_head(teller, story)
    changed = forward.traced(teller, story.other_text)
    row = changed.seen[f"layers.{best.layer}.attention.weights"][0, best.head, -1]
    most_attended = int(row.argmax())
    at_name = chips.visible(changed.tokens[most_attended]).strip("␣") == story.other_name
    just_before = most_attended >= len(changed.ids) - 2
    lab.predict(
        "c5_heads",
        text.read(
            "lab_heads_predict",
            name=story.name,
            other=story.other_name,
            layer=best.layer + 1,
            head=best.head + 1,
        ),
        (
            text.read("lab_heads_predict_name", other=story.other_name, name=story.name),
            text.read("lab_heads_predict_place"),
            text.read("lab_heads_predict_none"),
        ),
        right=0 if at_name else 1 if just_before else 2,
        because=text.read(
            "lab_heads_predict_because",
            other=story.other_name,
            share=float(row[most_attended]),
            seen=chips.visible(changed.tokens[most_attended]).strip("␣"),
        ),
        then={"c5_heads_text": story.other_text},
    )


@st.fragment
def habits() -> None:
    """Scores of every head for two behaviors known from larger models: previous token and induction."""
    text = words.load("05_attention")
    model = session.model_in_use()
    text.show("lab_scores")
    typed = st.session_state.get("c5_heads_text_kept") or beginning_that_fits(model)
    try:
        traced = forward.traced(model, typed)
    except ValueError as error:
        st.error(escape.sentence(f"{error}."), icon=":material/error:")
        return
    if len(traced.ids) < 2:
        return
    previous = heads.previous_token(heads.weights(traced.seen))
    induction = forward.induction_scores(model)
    n_heads = model.config.n_heads
    columns = [f"head {i + 1}" for i in range(n_heads)]
    rows = [f"layer {i + 1}" for i in range(model.config.n_layers)]
    names = [chips.visible(token) for token in traced.tokens]
    best_previous = int(previous.argmax())
    flat = [score for row in induction for score in row]
    best_induction = flat.index(max(flat))
    for column, title, scores, highest, formula in zip(
        st.columns(2, gap="large"),
        ("Previous token", "Induction"),
        (previous.tolist(), induction),
        (best_previous, best_induction),
        (
            lambda layer, head: previous_token_mean(traced, layer, head, names),
            lambda layer, head: induction_mean(model, layer, head),
        ),
    ):
        with column:
            st.markdown(f"**{title}**")
            drawing = CellMap(
                values=scores, rows=rows, columns=columns, row_title="", column_title="", numbers=".2f",
                what=title.lower(),
            )  # fmt: skip
            cell_map.show(
                drawing, formula, key=f"c5_habit_{title[:4].lower()}", default=divmod(highest, n_heads)
            )
    text.show(
        "lab_scores_says",
        layer=best_previous // n_heads + 1,
        head=best_previous % n_heads + 1,
        share=float(previous.flatten()[best_previous]),
        ilayer=best_induction // n_heads + 1,
        ihead=best_induction % n_heads + 1,
        ishare=flat[best_induction],
        chance=heads.induction_baseline(model.config.context_length),
    )


def previous_token_mean(traced: forward.Traced, layer: int, head: int, names: list[str]) -> Formula:
    """The mean weight of one head on the token just before."""
    weights = heads.weights(traced.seen)[layer, head].diagonal(-1).tolist()
    mean = sum(weights) / len(weights)
    terms = formulas.total([number(weight) for weight in weights], "weights")
    operands = Operands(
        "All attention weights on the previous token",
        names[1:],
        [(f"layer {layer + 1}, head {head + 1}", weights)],
    )
    line = Line("mean of w(t, t − 1)", f"({terms}) ÷ {len(weights)}", number(mean))
    return Formula(f"Layer {layer + 1}, head {head + 1} on this text", (line,), mean, (operands,))


def induction_mean(model: ModelHandle, layer: int, head: int) -> Formula:
    """The mean weight of one head on the token after the last occurrence, over all lengths of the repeated sequence."""
    means = [scores[layer][head] for scores in forward.induction_scores_by_period(model).values()]
    mean = sum(means) / len(means)
    lines = [
        Line(
            f"{period} random tokens, three times",
            "mean attention weight on the token after the last occurrence",
            number(score),
        )
        for period, score in zip(heads.periods(model.config.context_length), means)
    ]
    lines.append(Line("mean", f"({' + '.join(map(number, means))}) ÷ {len(means)}", number(mean)))
    return Formula(f"Layer {layer + 1}, head {head + 1} on repeated random tokens", tuple(lines), mean)
