"""Chapter 11: which published model uses which part, and where each part comes from."""

import streamlit as st

from gptcore.lessons.provenance import ORIGINS, architectures, differing_choices
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import lab, words

FIRST, OTHER = "LLaMA 2 7B", "Qwen 2.5 7B"


@st.fragment
def who_uses_what() -> None:
    """Which published model uses which part, with sources, and how much two LLaMA-style models differ."""
    text = words.load("11_glossary")
    with lab.frame("c11_who", text.read("lab_who_title")):
        text.show("lab_who")
        models = architectures()
        differing = differing_choices(PUBLISHED[OTHER].config, PUBLISHED[FIRST].config)
        st.dataframe(
            {
                text.read("lab_who_model"): list(models),
                text.read("lab_who_year"): [str(model.year) for model in models.values()],
                text.read("lab_who_norm"): [
                    f"{model.norm}, {model.norm_position}" for model in models.values()
                ],
                text.read("lab_who_ffn"): [model.feedforward for model in models.values()],
                text.read("lab_who_positions"): [model.positions for model in models.values()],
                text.read("lab_who_tied"): ["yes" if model.tied else "no" for model in models.values()],
                text.read("lab_who_attention"): [model.attention for model in models.values()],
                text.read("lab_who_bias"): [model.bias for model in models.values()],
                text.read("lab_who_source"): [model.source for model in models.values()],
            },
            hide_index=True,
            height=35 * (len(models) + 1) + 3,
            key="c11_who_table",
            alt=text.read("lab_who_alt"),
        )
        text.show("lab_who_says", tied=sum(model.tied for model in models.values()), n=len(models))
        lab.predict(
            "c11_who",
            text.read("lab_who_predict", first=FIRST, other=OTHER),
            (
                text.read("lab_who_predict_none"),
                text.read("lab_who_predict_one"),
                text.read("lab_who_predict_more"),
            ),
            right=min(2, len(differing)),
            because=text.read("lab_who_predict_because", n=len(differing), names=", ".join(differing)),
        )


def origins() -> None:
    """Who first published each idea, oldest first."""
    text = words.load("11_glossary")
    text.show("lab_origins", n=len(ORIGINS))
    st.dataframe(
        {
            text.read("lab_origins_idea"): [origin.idea for origin in ORIGINS],
            text.read("lab_origins_year"): [str(origin.year) for origin in ORIGINS],
            text.read("lab_origins_who"): [origin.who for origin in ORIGINS],
            text.read("lab_origins_title_of"): [origin.title for origin in ORIGINS],
            text.read("lab_origins_chapter"): [origin.chapter for origin in ORIGINS],
        },
        hide_index=True,
        key="c11_origins_table",
        alt=text.read("lab_origins_alt"),
    )
