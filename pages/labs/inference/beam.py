"""Chapter 9: beam search as a tree, and the texts it found."""

import math

import streamlit as st

from gptcore.generation.beam import Beams, Hypothesis, length_normalized
from pages.kit import controls, escape, figures, lab, prompt, session, trees, words
from pages.kit.chips import visible
from pages.kit.controls import Dial
from pages.kit.models import ModelHandle
from pages.labs.inference import cached

# Beginnings after which greedy and a beam of three part, a little and much.
BEGINNINGS = (
    "Long ago, a brave princess named Clara lived in a golden castle.",
    "A long time ago Nora lived all alone near the forest. One morning",
    "There once was a wizard whose name was Emil.",
)
MOST_IN_A_ROW = 6  # boxes that a narrow screen has room for
LISTED = 6


@st.fragment
def tree() -> None:
    """A sentence searched for with a beam: what was kept, what was cut, and greedy's path beside the best."""
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
                found = cached.beams(model, typed, most, width, penalty)
            except ValueError as error:
                st.error(escape.sentence(f"{error}."), icon=":material/error:")
                return
            describe_beams(text, found, model, typed)
        with right:
            drawn, listed = st.tabs([text.read("tab_tree"), text.read("tab_texts")], key="c9_beam_tabs")
            with drawn:
                cut = max(1, MOST_IN_A_ROW - width)
                figures.show(beam_tree(found, model, typed, cut), key="c9_beam_tree")
                st.caption(text.read("lab_beam_caption", cut=cut))
            with listed:
                hypothesis_table(text, found, model)
        predict(text, found)


def beam_controls(text: words.Words) -> tuple[int, float, int]:
    """The width of the beam, the length penalty and the most new tokens."""
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


def hypothesis_text(one: Hypothesis, found: Beams, model: ModelHandle) -> str:
    """A text the search found, its end token included."""
    return model.tokenizer.decode([found.nodes[place].token_id for place in one.path], continues=True)


def describe_beams(text: words.Words, found: Beams, model: ModelHandle, typed: str) -> None:
    """The best text against greedy's: how likely each is, and what the search cost."""
    best, greedy = found.best, found.greedy
    whole = (typed + hypothesis_text(best, found, model)).strip()
    if best.path == greedy.path:
        text.show("lab_beam_same", best=whole, total=best.total, score=best.score, n_calls=found.n_calls)
        return
    text.show(
        "lab_beam_differs",
        best=whole,
        total=best.total,
        score=best.score,
        n_calls=found.n_calls,
        greedy=hypothesis_text(greedy, found, model).strip(),
        greedy_total=greedy.total,
        greedy_score=greedy.score,
        likelier=math.exp(best.total - greedy.total),
    )


def beam_tree(found: Beams, model: ModelHandle, typed: str, cut: int) -> figures.Picture:
    """The tree with the best `cut` of the nodes cut in each row; all of them would fill the page."""
    marked = {*found.best.path, *found.greedy.path}
    n_cut: dict[int, int] = {}
    places = [0]
    for place, node in enumerate(found.nodes[1:], start=1):
        if node.fate == "cut" and place not in marked:
            n_cut[node.depth] = n_cut.get(node.depth, 0) + 1
            if n_cut[node.depth] > cut:
                continue
        places.append(place)
    at = {place: row for row, place in enumerate(places)}
    names = model.tokenizer.token_text
    leaves = [
        trees.Leaf(
            token=names(node.token_id) if place else "",
            row=node.depth,
            parent=at[node.parent],
            fate=node.fate,
            note=f"{visible(names(node.token_id))}: p {math.exp(node.log_probability):.1%}, "
            f"sum of ln p {node.total:.2f}, {node.fate}"
            if place
            else "",
        )
        for place, node in ((place, found.nodes[place]) for place in places)
    ]
    return trees.beam_tree(
        leaves,
        best=[at[place] for place in found.best.path],
        greedy=[at[place] for place in found.greedy.path],
        root=f"… {typed.split()[-1]}" if typed.split() else "…",
        revision="c9_beam",
    )


def hypothesis_table(text: words.Words, found: Beams, model: ModelHandle) -> None:
    """The texts the search found, the best first."""
    texts = list(found.hypotheses[:LISTED])
    if all(one.path != found.greedy.path for one in texts):
        texts.append(found.greedy)
    st.dataframe(
        {
            text.read("lab_beam_text"): [hypothesis_text(one, found, model).strip() for one in texts],
            text.read("lab_beam_total"): [round(one.total, 2) for one in texts],
            text.read("lab_beam_tokens"): [one.n_counted for one in texts],
            text.read("lab_beam_score"): [round(one.score, 3) for one in texts],
            text.read("lab_beam_ended"): [
                text.read("lab_beam_yes") if one.ended else text.read("lab_beam_no") for one in texts
            ],
            text.read("lab_beam_greedy"): ["●" if one.path == found.greedy.path else "" for one in texts],
        },
        hide_index=True,
        key="c9_beam_table",
    )


def predict(text: words.Words, found: Beams) -> None:
    """Without a penalty: can the winner become longer? It cannot, by arithmetic."""
    # The penalty takes no part in the search, so the same finished texts are compared at another.
    short, long = (
        max(found.hypotheses, key=lambda one: length_normalized(one.total, one.n_counted, penalty))
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
