"""What a visitor changes in a pass: a part turned off, a token swapped, or a cache used."""

from dataclasses import dataclass

import streamlit as st

from gptcore.interpret.ablation import Ablation
from pages.kit import controls, forward, links, models, trace_map, words
from pages.kit.name_head import default_head
from pages.kit.pronoun_story import PronounStory, pronoun_story

VIEWS = ("pass", "cache")
NOTHING = "nothing"
WHAT = (NOTHING, "head", "attention", "feedforward", "layer", "rotation", "token")


@dataclass(frozen=True, slots=True)
class Change:
    """What the visitor asks of a pass: a part that is silent, a token swapped (place, id), what the map shows."""

    what: Ablation | None
    swap: tuple[int, int] | None
    view: str

    def __iter__(self):
        return iter((self.what, self.swap, self.view))


def change_controls(model: models.ModelHandle, traced: forward.Traced, text: words.Words) -> Change:
    """The controls above the map."""
    config, story = model.config, pronoun_story()
    left, right = st.columns([1, 2], gap="medium")
    with left:
        view = controls.choice(text.read("view"), "j_view", VIEWS, help=text.read("view_help"))
    if view == "cache":
        return Change(None, None, view)
    with right:
        part = controls.choice(text.read("what"), "j_what", WHAT, help=text.read("what_help"))
    if part == NOTHING:
        return Change(None, None, view)
    best = default_head(model)
    what, swap = None, None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if part == "token":
            swap = swap_controls(model, traced, story, text)
        elif part == "rotation":
            what = Ablation(part=part)
        else:
            layers = [str(i + 1) for i in range(config.n_layers)]
            layer = controls.dropdown(text.read("layer"), "j_layer", layers, default=str(best.layer + 1))
            head = "1"
            if part == "head":
                heads = [str(i + 1) for i in range(config.n_heads)]
                head = controls.dropdown(text.read("head"), "j_head", heads, default=str(best.head + 1))
            what = Ablation(part=part, layer=int(layer) - 1, head=int(head) - 1)
        moved = controls.switch(text.read("moved"), "j_moved", True)
    if what is None and swap is None:
        return Change(None, None, view)
    return Change(what, swap, "moved" if moved else view)


def swap_controls(
    model: models.ModelHandle, traced: forward.Traced, story: PronounStory, text: words.Words
) -> tuple[int, int] | None:
    """Which token becomes which; None while the word is not one token."""
    n = len(traced.ids)
    names = [i for i, token in enumerate(traced.tokens) if token.strip() == story.name]
    places = [f"{i + 1} {trace_map.legible(token)}" for i, token in enumerate(traced.tokens)]
    position = controls.dropdown(
        text.read("swap"), "j_place", places, default=places[names[0] if names else max(0, n - 2)]
    )
    at = places.index(position)
    default = story.other_name if names else "queen"
    bind = links.check("j_swap", links.Text(40), default)
    word = st.text_input(text.read("swap_with"), default, key="j_swap", bind=bind, max_chars=40)
    space = " " if traced.tokens[at].startswith(" ") else ""
    ids = model.tokenizer.encode(space + word.strip())
    if len(ids) != 1:
        st.info(text.read("swap_two", word=word.strip() or "␣", count=len(ids)), icon=":material/info:")
        return None
    return at, ids[0]
