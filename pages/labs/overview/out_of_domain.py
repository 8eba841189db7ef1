"""Chapter 0: prompts from outside the world of the training data."""

import streamlit as st

from pages.kit import controls, figures, forward, lab, models, plots, session, words
from pages.kit.pronoun_story import storyteller

OUTSIDE = (
    "The king opened his laptop and",
    "Photosynthesis is the process by which",
    "The capital of France is",
    "Two plus two is",
    "The engine of the car was",
)
INSIDE = ("Once upon a time", "In front of her door stood a", "Once there was a queen named Mira who")


def _highest_probability(model: models.ModelHandle, prompt: str) -> float:
    """The probability of the most probable token after a prompt."""
    return forward.continuation(model, prompt, 1)[0][1][0][1]


@st.fragment
def outside() -> None:
    """Prompts from outside its world: what it says, and how sure it is."""
    text = words.load("00_overview")
    with lab.frame("c0_out", text.read("lab_outside_title")):
        text.show("lab_outside")
        model = storyteller()
        session.caption_other_model(model)
        prompt = controls.dropdown(text.read("lab_outside_prompt"), "c0_out_prompt", OUTSIDE)
        sure = {one: _highest_probability(model, one) for one in (*OUTSIDE, *INSIDE)}
        follow = forward.continuation(model, prompt, 12)
        picture = plots.columns(
            [one if len(one) < 24 else one[:22] + " …" for one in sure],
            {"most likely token": list(sure.values())},
            y_title=text.read("lab_outside_chart"),
            form=".0%",
            height=330,
            revision="c0 outside",
        )
        colors = [figures.ORANGE if one in OUTSIDE else figures.BLUE for one in sure]
        picture.figure.update_traces(marker={"color": colors})
        picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.15])
        figures.show(picture, key="c0_out_bars")
        text.show(
            "lab_outside_says",
            follow="".join(piece for piece, _ in follow).strip(),
            p=sure[prompt],
            outside=sum(sure[one] for one in OUTSIDE) / len(OUTSIDE),
            inside=sum(sure[one] for one in INSIDE) / len(INSIDE),
        )
        place = OUTSIDE.index(prompt)
        first, second = OUTSIDE[(place + 1) % len(OUTSIDE)], INSIDE[place % len(INSIDE)]
        lab.predict(
            "c0_out",
            text.read("lab_outside_predict", first=first, second=second),
            (first, second),
            right=0 if sure[first] >= sure[second] else 1,
            because=text.read(
                "lab_outside_because", first=first, second=second, p_first=sure[first], p_second=sure[second]
            ),
            then={"c0_out_prompt": first},
        )
