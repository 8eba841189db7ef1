"""Chapter 4: queries and keys in one picture, and the figure at the top of the chapter."""

import math
from dataclasses import dataclass

import streamlit as st
import torch

from gptcore.experiments.measurements.positions import scores_by_distance
from gptcore.lessons import by_hand
from pages.kit import arrows, figures, forward, models, plots, session, words
from pages.kit.arrows import Arrow, Plane
from pages.kit.name_head import find_name_head
from pages.kit.pronoun_story import pronoun_story, storyteller

TOKENS = ("Mira", "lost", "her")
QUERIES = ((0.2, 0.7), (0.7, -0.3), (0.9, 0.4))
KEYS = ((0.8, 0.6), (-0.7, 0.5), (0.3, -0.8))
SHIFT = 200  # tokens by which the figure moves query and key


def queries_and_keys() -> None:
    """What a query and a key are, in a few sentences and one picture; chapter 5 explains attention."""
    text = words.load("04_positions")
    queries, keys = torch.tensor(QUERIES), torch.tensor(KEYS)
    scores = by_hand.attention(queries, keys, keys, torch.eye(2)).raw[-1].tolist()
    text.show("asking", last=TOKENS[-1], best=TOKENS[scores.index(max(scores))], score=max(scores))
    query, key = text.read("asking_query"), text.read("asking_key")
    planes = [
        Plane(
            token,
            (Arrow(*KEYS[i], key), Arrow(*QUERIES[i], query)),
            text.read("asking_below", last=TOKENS[-1], token=token, score=scores[i]),
        )
        for i, token in enumerate(TOKENS)
    ]
    listed = ", ".join(f"{token} {score:.2f}" for token, score in zip(TOKENS, scores))
    picture = arrows.planes(
        planes,
        names=(query, key),
        alt=f"Three tokens, each with its query and key drawn as arrows. Scores of {TOKENS[-1]}: {listed}.",
        per_row=3,
    )
    left, side = st.columns([2, 1], gap="medium", vertical_alignment="center")
    with left:
        figures.show(picture, key="c4_asking")
    with side:
        text.show("asking_so")


@dataclass(frozen=True, slots=True)
class NameQuery:
    """The query of a token and the key of a name in one head, before rotation, with their positions."""

    layer: int
    head: int
    q: object  # (D,)
    k: object  # (D,)
    position: int
    key_position: int
    token: str
    name: str
    theta: float


def rotary_storyteller() -> models.ModelHandle:
    """The model in use if it was trained on the stories with RoPE, else the shipped one."""
    model = storyteller()
    return model if model.config.position == "rope" else models.shipped()


def query_of_the_name() -> NameQuery:
    """The head that attends most to the name, with its query and key."""
    model, story = rotary_storyteller(), pronoun_story()
    config = model.config
    head = find_name_head(model, story)
    traced = forward.traced(model, story.text)
    last = len(traced.ids) - 1
    names = f"layers.{head.layer}.attention."
    return NameQuery(
        head.layer,
        head.head,
        traced.seen[names + "q"][0, head.head, last].clone(),
        traced.seen[names + "k"][0, head.head * config.n_kv_heads // config.n_heads, head.position].clone(),
        last,
        head.position,
        traced.tokens[last].strip(),
        traced.tokens[head.position].strip(),
        config.rope_theta,
    )


@st.fragment
def finding() -> None:
    """The score of two tokens when both are moved, and when only the query is."""
    text = words.load("04_positions")
    pair = query_of_the_name()
    session.caption_other_model(rotary_storyteller())
    distance = pair.position - pair.key_position
    by_distance = scores_by_distance(pair.q, pair.k, distance + SHIFT + 1, pair.theta).tolist()
    score = by_distance[distance]
    text.show(
        "finding",
        asks=pair.token,
        answers=pair.name,
        apart=distance,
        layer=pair.layer + 1,
        head=pair.head + 1,
        score=score,
    )
    shifts = list(range(0, SHIFT + 1, 2))
    picture = plots.curves(
        shifts,
        {
            text.read("finding_both"): [score] * len(shifts),
            text.read("finding_one"): [by_distance[distance + shift] for shift in shifts],
        },
        x_title=text.read("finding_x"),
        y_title=text.read("finding_y"),
        height=240,
        revision="finding",
    )
    left, side = st.columns([3, 2], gap="large", vertical_alignment="center")
    with left:
        figures.show(picture, key="c4_finding")
    both_moved = by_hand.rotated_score(
        pair.q, pair.k, pair.position + SHIFT, pair.key_position + SHIFT, pair.theta
    )
    with side:
        text.show(
            "finding_says",
            far=SHIFT,
            both=both_moved / math.sqrt(len(pair.q)),
            alone=by_distance[distance + SHIFT],
        )
