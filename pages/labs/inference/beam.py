"""Chapter 9: beam search as a tree, with the finished texts."""

import math

import streamlit as st

from gptcore.generation.beam import Beams, Hypothesis, length_normalized
from pages.kit import controls, escape, figures, lab, prompt, session, trees, words
from pages.kit.chips import visible
from pages.kit.controls import Dial
from pages.kit.models import ModelHandle
from pages.labs.inference import cached

# Prompts after which greedy decoding and a beam of width three differ, slightly and a lot.
BEGINNINGS = (
    "Long ago, a brave princess named Clara lived in a golden castle.",
    "A long time ago Nora lived all alone near the forest. One morning",
    "There once was a wizard whose name was Emil.",
)
MOST_IN_A_ROW = 6  # boxes that a narrow screen has room for
LISTED = 6


@st.fragment
def tree() -> None:
    """A beam search for the rest of a sentence: which tokens it kept and cut, and the greedy path next to the best."""
    text = words.load("09_inference")
    with lab.frame("c9_beam", text.read("lab_beam_title")):
        text.show("lab_beam")
        with st.expander(text.read("lab_beam_rule_title"), icon=":material/help:"):
            text.show("lab_beam_rule")
        left, right = st.columns([2, 3], gap="large")
        with left:
            typed = prompt.text_input(
                text.read("lab_beam_prompt"), "c9_beam_prompt", BEGINNINGS[0], BEGINNINGS
            )
            width, penalty, most = beam_controls(text)
            model = session.model_in_use()
            try:
                search = cached.beams(model, typed, most, width, penalty)
            except ValueError as error:
                st.error(escape.sentence(f"{error}."), icon=":material/error:")
                return
            describe_beams(text, search, model, typed)
        with right:
            names = [text.read("tab_tree"), text.read("tab_texts")]
            drawn, listed = st.tabs(names, key="c9_beam_tabs", on_change="rerun")
            if drawn.open:
                cut = max(1, MOST_IN_A_ROW - width)
                with drawn:
                    figures.show(beam_tree(search, model, typed, cut), key="c9_beam_tree")
                    st.caption(text.read("lab_beam_caption", cut=cut))
            if listed.open:
                with listed:
                    hypothesis_table(text, search, model)
        predict(text, search)


def beam_controls(text: words.Words) -> tuple[int, float, int]:
    """The controls: beam width, length penalty and maximum number of new tokens."""
    dial = Dial("", 1, 6, 1, text.read("lab_beam_width_help"))
    width = controls.integer(text.read("lab_beam_width"), "c9_beam_width", dial, 3)
    penalty = controls.number(
        text.read("lab_beam_penalty"),
        "c9_beam_penalty",
        0.0,
        2.0,
        1.0,
        0.25,
        text.read("lab_beam_penalty_help"),
    )
    dial = Dial("", 4, 16, 1, text.read("lab_beam_most_help"))
    most = controls.integer(text.read("lab_beam_most"), "c9_beam_most", dial, 12)
    return width, penalty, most


def hypothesis_text(hypothesis: Hypothesis, search: Beams, model: ModelHandle) -> str:
    """A finished text, its end token included."""
    return model.tokenizer.decode([search.nodes[index].token_id for index in hypothesis.path], continues=True)


def describe_beams(text: words.Words, search: Beams, model: ModelHandle, typed: str) -> None:
    """The best text compared with greedy's: how probable each is, and what the search cost."""
    best, greedy = search.best, search.greedy
    whole = (typed + hypothesis_text(best, search, model)).strip()
    if best.path == greedy.path:
        text.show("lab_beam_same", best=whole, total=best.total, score=best.score, n_calls=search.n_calls)
        return
    text.show(
        "lab_beam_differs",
        best=whole,
        total=best.total,
        score=best.score,
        n_calls=search.n_calls,
        greedy=hypothesis_text(greedy, search, model).strip(),
        greedy_total=greedy.total,
        greedy_score=greedy.score,
        likelier=math.exp(best.total - greedy.total),
    )


def beam_tree(search: Beams, model: ModelHandle, typed: str, cut: int) -> figures.Picture:
    """The tree with only the best `cut` of the cut nodes in each row; all of them would fill the page."""
    marked = {*search.best.path, *search.greedy.path}
    n_cut: dict[int, int] = {}
    shown = [0]
    for index, node in enumerate(search.nodes[1:], start=1):
        if node.fate == "cut" and index not in marked:
            n_cut[node.depth] = n_cut.get(node.depth, 0) + 1
            if n_cut[node.depth] > cut:
                continue
        shown.append(index)
    row_of = {index: row for row, index in enumerate(shown)}
    token_text = model.tokenizer.token_text
    leaves = [
        trees.Leaf(
            token=token_text(node.token_id) if index else "",
            row=node.depth,
            parent=row_of[node.parent],
            fate=node.fate,
            note=f"{visible(token_text(node.token_id))}: p {math.exp(node.log_probability):.1%}, "
            f"sum of ln p {node.total:.2f}, {node.fate}"
            if index
            else "",
        )
        for index, node in ((index, search.nodes[index]) for index in shown)
    ]
    return trees.beam_tree(
        leaves,
        best=[row_of[index] for index in search.best.path],
        greedy=[row_of[index] for index in search.greedy.path],
        root=f"… {typed.split()[-1]}" if typed.split() else "…",
        revision="c9_beam",
    )


def hypothesis_table(text: words.Words, search: Beams, model: ModelHandle) -> None:
    """The finished texts, the best first."""
    texts = list(search.hypotheses[:LISTED])
    if all(hypothesis.path != search.greedy.path for hypothesis in texts):
        texts.append(search.greedy)
    st.dataframe(
        {
            text.read("lab_beam_text"): [
                hypothesis_text(hypothesis, search, model).strip() for hypothesis in texts
            ],
            text.read("lab_beam_total"): [round(hypothesis.total, 2) for hypothesis in texts],
            text.read("lab_beam_tokens"): [hypothesis.n_counted for hypothesis in texts],
            text.read("lab_beam_score"): [round(hypothesis.score, 3) for hypothesis in texts],
            text.read("lab_beam_ended"): [
                text.read("lab_beam_yes") if hypothesis.ended else text.read("lab_beam_no")
                for hypothesis in texts
            ],
            text.read("lab_beam_greedy"): [
                "●" if hypothesis.path == search.greedy.path else "" for hypothesis in texts
            ],
        },
        hide_index=True,
        key="c9_beam_table",
    )


def predict(text: words.Words, search: Beams) -> None:
    """Can the winner be longer without a penalty? It cannot: every token lowers the sum."""
    # The penalty has no effect on the search itself, so the same finished texts can be compared at other penalties.
    short, long = (
        max(
            search.hypotheses,
            key=lambda hypothesis: length_normalized(hypothesis.total, hypothesis.n_counted, penalty),
        )
        for penalty in (0.0, 2.0)
    )
    lab.predict(
        "c9_beam",
        text.read("lab_beam_predict"),
        (
            text.read("lab_beam_longer"),
            text.read("lab_beam_shorter"),
            text.read("lab_beam_either"),
        ),
        right=1,
        because=text.read("lab_beam_because", short=short.n_counted, long=long.n_counted),
        then={"c9_beam_penalty": 0.0},
    )
