"""Chapter 4: the distance that each head prefers by position alone."""

import streamlit as st

from gptcore.experiments.measurements.positions import distance_profiles
from pages.kit import controls, figures, forward, plots, session, words
from pages.kit.pronoun_story import pronoun_story
from pages.labs.positions.finding import rotary_storyteller


@st.fragment
def head_offsets() -> None:
    """The distance that each head prefers, by the mean of its queries and keys."""
    text = words.load("04_positions")
    model = rotary_storyteller()
    session.caption_other_model(model)
    config = model.config
    traced = forward.traced(model, pronoun_story().text)
    profiles = distance_profiles(traced.seen, config, 33)
    by_name = {f"layer {profile.layer + 1}, head {profile.head + 1}": profile for profile in profiles}
    sharpest = max(by_name, key=lambda name: by_name[name].scores[1] - sum(by_name[name].scores[:4]) / 4)
    text.show("lab_lean")
    name = controls.dropdown(text.read("lab_lean_head"), "c4_lean_head", list(by_name), default=sharpest)
    chosen = by_name[name]
    picture = plots.curves(
        list(range(len(chosen.scores))),
        {name: chosen.scores},
        x_title=text.read("lab_drag_distance"),
        y_title=text.read("lab_drag_score"),
        mark_x=chosen.peak,
        height=260,
        revision="lean",
    )
    figures.show(picture, key="c4_lean_curve")
    previous_token_heads = sum(profile.peak == 1 for profile in profiles)
    text.show("lab_lean_says", name=name, peak=chosen.peak, n=len(profiles), one_back=previous_token_heads)
