"""Chapter 0: prompts from outside the world of the training data."""

import streamlit as st

from pages.kit import controls, figures, forward, lab, models, plots, session, words
from pages.kit.pronoun_story import storyteller

OUT_OF_DOMAIN = (
    "The king opened his laptop and",
    "Photosynthesis is the process by which",
    "The capital of France is",
    "Two plus two is",
    "The engine of the car was",
)
IN_DOMAIN = ("Once upon a time", "In front of her door stood a", "Once there was a queen named Mira who")


def _highest_probability(model: models.ModelHandle, prompt: str) -> float:
    """The probability of the most probable token after a prompt."""
    return forward.continuation(model, prompt, 1)[0][1][0][1]


@st.fragment
def outside() -> None:
    """Prompts from outside the training domain: the continuation, and the probability of the top token."""
    text = words.load("00_overview")
    with lab.frame("c0_out", text.read("lab_outside_title")):
        text.show("lab_outside")
        model = storyteller()
        session.caption_other_model(model)
        prompt = controls.dropdown(text.read("lab_outside_prompt"), "c0_out_prompt", OUT_OF_DOMAIN)
        top_probability = {
            candidate: _highest_probability(model, candidate) for candidate in (*OUT_OF_DOMAIN, *IN_DOMAIN)
        }
        follow = forward.continuation(model, prompt, 12)
        picture = plots.columns(
            [candidate if len(candidate) < 24 else candidate[:22] + " …" for candidate in top_probability],
            {"most likely token": list(top_probability.values())},
            y_title=text.read("lab_outside_chart"),
            form=".0%",
            height=330,
            revision="c0 outside",
        )
        colors = [
            figures.ORANGE if candidate in OUT_OF_DOMAIN else figures.BLUE for candidate in top_probability
        ]
        picture.figure.update_traces(marker={"color": colors})
        picture.figure.update_yaxes(tickformat=".0%", range=[0, 1.15])
        figures.show(picture, key="c0_out_bars")
        text.show(
            "lab_outside_says",
            follow="".join(token for token, _ in follow).strip(),
            p=top_probability[prompt],
            outside=sum(top_probability[candidate] for candidate in OUT_OF_DOMAIN) / len(OUT_OF_DOMAIN),
            inside=sum(top_probability[candidate] for candidate in IN_DOMAIN) / len(IN_DOMAIN),
        )
        index = OUT_OF_DOMAIN.index(prompt)
        first, second = OUT_OF_DOMAIN[(index + 1) % len(OUT_OF_DOMAIN)], IN_DOMAIN[index % len(IN_DOMAIN)]
        lab.predict(
            "c0_out",
            text.read("lab_outside_predict", first=first, second=second),
            (first, second),
            right=0 if top_probability[first] >= top_probability[second] else 1,
            because=text.read(
                "lab_outside_because",
                first=first,
                second=second,
                p_first=top_probability[first],
                p_second=top_probability[second],
            ),
            then={"c0_out_prompt": first},
        )
