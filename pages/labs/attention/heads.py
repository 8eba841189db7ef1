"""Chapter 5: where heads look, and what is lost without one."""

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

WHAT = ("attention weight", "contribution")
MORE_TEXTS = ("The queen had a ring. The queen lost her",)


@st.fragment
def attention_maps() -> None:
    """Click a token, see where every head looks from there, and switch heads off."""
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
            what = controls.choice(
                text.read("lab_heads_what"), "c5_heads_what", WHAT, help=text.read("lab_heads_what_help")
            )
        looked = row_proportions(traced, what)  # (L, H, T, T), each row the share of its sum
        with strip:
            place = pick_query(traced, looked[layer, head], text)
        with side:
            describe_head(traced, layer, head, place, text)
            next_words(model, typed, traced, layer, head, place, text)
        with picture_pane:
            every_head(model, traced, looked, what, HeadCell(layer, head, place, place), text)
        predict_other_name(teller, story, text)


def pick_query(traced: forward.Traced, looked, text: words.Words) -> int:
    """The tokens, shaded by their weights from the chosen one; a click chooses another."""
    n = len(traced.ids)
    return chips.pick_chip(
        n,
        lambda at: shaded_tokens(traced.tokens, looked[at].tolist(), at),
        key="c5_heads_at",
        label=text.read("lab_heads_tokens"),
        default=n - 1,
    )


def row_proportions(traced: forward.Traced, what: str):
    """The weights of all heads, or what they hand over, as shares of each row."""
    if what == WHAT[0]:
        return heads.weights(traced.seen)
    lengths = heads.weighted_value_norms(traced.seen)
    return lengths / lengths.sum(-1, keepdim=True)


def describe_head(traced: forward.Traced, layer: int, head: int, place: int, text: words.Words) -> None:
    """What the chosen head does from the chosen token, in one sentence of numbers."""
    found = heads.weights(traced.seen)
    row = found[layer, head, place]
    seen = int(row.argmax())
    long = len(traced.ids) > 1
    text.show(
        "lab_heads_says",
        layer=layer + 1,
        head=head + 1,
        token=chips.in_sentence(traced.tokens[place]),
        seen=chips.in_sentence(traced.tokens[seen]),
        share=float(row[seen]),
        before=float(heads.previous_token(found)[layer, head]) if long else 0.0,
        self=float(heads.current_token(found)[layer, head]) if long else 1.0,
        first=float(heads.first_token(found)[layer, head]) if long else 1.0,
    )


def every_head(
    model: ModelHandle, traced: forward.Traced, looked, what: str, chosen: HeadCell, text: words.Words
) -> None:
    """All heads as rows: where each attends from the chosen token; and the whole matrix of the chosen head."""
    n_layers, n_heads = looked.shape[:2]
    layer, head, place, _ = chosen
    every = [chips.visible(token) for token in traced.tokens]
    rows = [f"{i // n_heads + 1}.{i % n_heads + 1}" for i in range(n_layers * n_heads)]
    value = "attention weight" if what == WHAT[0] else "proportion"
    explain = formulas.attention_weight if what == WHAT[0] else formulas.weighted_value
    best = int(looked[layer, head, place].argmax())

    def formula(cell: HeadCell) -> Formula:
        return explain(traced.seen, model.config, cell, every)

    token = chips.in_sentence(traced.tokens[place])
    heads_tab, square_tab = st.tabs(
        [text.read("lab_heads_map", n=len(rows), token=token), text.read("lab_heads_square")]
    )
    with heads_tab:
        drawing = CellMap(
            values=looked[:, :, place, : place + 1].flatten(0, 1).tolist(),
            rows=rows,
            columns=every[: place + 1],
            row_title="layer.head",
            what=value,
            mark_row=layer * n_heads + head,
            height=14 * len(rows),
            alt=f"Where each head attends from {every[place]}; layer {layer + 1}, head {head + 1} is framed.",
        )
        cell_map.show(
            drawing,
            lambda row, key: formula(HeadCell(*divmod(row, n_heads), place, key)),
            key="c5_heads_map",
            default=(layer * n_heads + head, best),
        )
    with square_tab:
        drawing = CellMap(
            values=looked[layer, head].tolist(),
            rows=every,
            columns=every,
            what=value,
            mark_row=place,
            height=14 * len(rows),
        )
        cell_map.show(
            drawing,
            lambda query, key: formula(HeadCell(layer, head, query, key)),
            key="c5_heads_square",
            default=(place, best),
        )


def next_words(
    model, typed: str, traced: forward.Traced, layer: int, head: int, place: int, text: words.Words
) -> None:
    """What comes after the chosen token, and, when the head is switched off, what comes without it."""
    before = model.tokenizer.decode(list(traced.ids[: place + 1]))
    off = controls.switch(text.read("lab_heads_off"), "c5_heads_off", help=text.read("lab_heads_caution"))
    token = chips.in_sentence(traced.tokens[place])
    whole = next_tokens(model, before, None)
    names = tuple(name for name, _ in whole)
    if not off:
        st.markdown(f"**{text.read('lab_heads_next', token=token)}**")
        picture = generation_figures.probability_bars(
            names, [p for _, p in whole], height=160, revision="next"
        )
    else:
        st.markdown(f"**{text.read('lab_heads_next_off', layer=layer + 1, head=head + 1)}**")
        picture = with_and_without(model, before, whole, (layer, head))
    figures.show(picture, key="c5_heads_next")


def with_and_without(model, before: str, whole: list[tuple[str, float]], off: tuple[int, int]):
    """The most probable tokens of either model, each with its probability with the head and without."""
    less = dict(next_tokens(model, before, off, most=model.config.vocab_size))
    more = dict(next_tokens(model, before, None, most=model.config.vocab_size))
    names = list(dict.fromkeys([name for name, _ in whole[:4]] + list(less)[:4]))
    picture = plots.columns(
        [chips.visible(name) for name in names],
        {"with the head": [more[name] for name in names], "without it": [less[name] for name in names]},
        y_title="probability of the next token",
        form=".0%",
        height=200,
        revision="next off",
    )
    picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.2])
    return picture


def predict_other_name(teller, story: PronounStory, text: words.Words) -> None:
    """Predict where the remembering head looks once the name is another."""
    session.caption_other_model(teller)
    best = find_name_head(teller, story)
    changed = forward.traced(teller, story.other_text)
    row = changed.seen[f"layers.{best.layer}.attention.weights"][0, best.head, -1]
    seen = int(row.argmax())
    at_name = chips.visible(changed.tokens[seen]).strip("␣") == story.other_name
    just_before = seen >= len(changed.ids) - 2
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
            share=float(row[seen]),
            seen=chips.visible(changed.tokens[seen]).strip("␣"),
        ),
        then={"c5_heads_text": story.other_text},
    )


@st.fragment
def habits() -> None:
    """Two habits that heads of larger models are known for, scored for every head of this one."""
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
    best = int(previous.argmax())
    flat = [score for row in induction for score in row]
    strongest = flat.index(max(flat))
    for column, title, scores, highest, formula in zip(
        st.columns(2, gap="large"),
        ("Previous token", "Induction"),
        (previous.tolist(), induction),
        (best, strongest),
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
        layer=best // n_heads + 1,
        head=best % n_heads + 1,
        share=float(previous.flatten()[best]),
        ilayer=strongest // n_heads + 1,
        ihead=strongest % n_heads + 1,
        ishare=flat[strongest],
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
    """The mean weight of one head on what followed the token's last occurrence, over all lengths that repeat."""
    means = [scores[layer][head] for scores in forward.induction_scores_by_period(model).values()]
    mean = sum(means) / len(means)
    lines = [
        Line(
            f"{period} random tokens, three times",
            "mean attention weight on the token after the last occurrence",
            number(one),
        )
        for period, one in zip(heads.periods(model.config.context_length), means)
    ]
    lines.append(Line("mean", f"({' + '.join(map(number, means))}) ÷ {len(means)}", number(mean)))
    return Formula(f"Layer {layer + 1}, head {head + 1} on repeated random tokens", tuple(lines), mean)
