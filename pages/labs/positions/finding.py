"""Chapter 4: queries and keys in one picture, and the finding at its top."""

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
ASKS = ((0.2, 0.7), (0.7, -0.3), (0.9, 0.4))
ANSWERS = ((0.8, 0.6), (-0.7, 0.5), (0.3, -0.8))
FAR = 200  # how far the finding moves both


def queries_and_keys() -> None:
    """What a query and a key are, in three sentences and one picture; chapter 5 teaches the rest."""
    text = words.load("04_positions")
    q, k = torch.tensor(ASKS), torch.tensor(ANSWERS)
    scores = by_hand.attention(q, k, k, torch.eye(2)).raw[-1].tolist()
    text.show("asking", last=TOKENS[-1], best=TOKENS[scores.index(max(scores))], score=max(scores))
    query, key = text.read("asking_query"), text.read("asking_key")
    shown = [
        Plane(
            token,
            (Arrow(*ANSWERS[i], key), Arrow(*ASKS[i], query)),
            text.read("asking_below", last=TOKENS[-1], token=token, score=scores[i]),
        )
        for i, token in enumerate(TOKENS)
    ]
    listed = ", ".join(f"{token} {score:.2f}" for token, score in zip(TOKENS, scores))
    picture = arrows.planes(
        shown,
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
    """A query and a key of a real head, before rotation, with their positions."""

    layer: int
    head: int
    q: object  # (D,)
    k: object
    at: int
    key_at: int
    asks: str
    answers: str
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
    """The score of two tokens while both are moved, and while one is."""
    text = words.load("04_positions")
    met = query_of_the_name()
    session.caption_other_model(rotary_storyteller())
    apart = met.at - met.key_at
    by_distance = scores_by_distance(met.q, met.k, apart + FAR + 1, met.theta).tolist()
    score = by_distance[apart]
    text.show(
        "finding",
        asks=met.asks,
        answers=met.answers,
        apart=apart,
        layer=met.layer + 1,
        head=met.head + 1,
        score=score,
    )
    moved = list(range(0, FAR + 1, 2))
    picture = plots.curves(
        moved,
        {
            text.read("finding_both"): [score] * len(moved),
            text.read("finding_one"): [by_distance[apart + shift] for shift in moved],
        },
        x_title=text.read("finding_x"),
        y_title=text.read("finding_y"),
        height=240,
        revision="finding",
    )
    left, side = st.columns([3, 2], gap="large", vertical_alignment="center")
    with left:
        figures.show(picture, key="c4_finding")
    there = by_hand.rotated_score(met.q, met.k, met.at + FAR, met.key_at + FAR, met.theta)
    with side:
        text.show("finding_says", far=FAR, both=there / math.sqrt(len(met.q)), alone=by_distance[apart + FAR])
