"""Chapter 2: what the same sentence costs in fourteen languages."""

from collections.abc import Mapping

import streamlit as st

from gptcore.lessons.bpe_steps import Cost, cost
from gptcore.lessons.languages import SENTENCES
from gptcore.tokenizer import Tokenizer
from pages.kit import chips, controls, escape, figures, lab, plots, prompt, words
from pages.kit.token_text import MOST_CHIPS, byte_chips
from pages.labs.tokens.same_text import about_gpt2, compared_tokenizers

Costs = Mapping[str, Mapping[str, Cost]]  # by tokenizer, then by language


@st.fragment
def languages() -> None:
    """What the same sentence costs in fourteen languages, and one of the visitor's own."""
    text = words.load("02_tokens")
    with lab.frame("c2_lang", text.read("lab_lang_title")):
        text.show("lab_lang")
        side, picture_pane = lab.panes()
        with side:
            unit = controls.choice(
                text.read("lab_lang_count"), "c2_lang_by", ("tokens", "bytes", "characters")
            )
            language = controls.dropdown(
                text.read("lab_lang_sentence"), "c2_lang_which", list(SENTENCES), default="Hindi"
            )
            own = prompt.text_input(text.read("lab_lang_own"), "c2_lang_own", "")
            about_gpt2(text)
        tokenizers = {name: made for name, made in compared_tokenizers().items() if name != "bytes"}
        costs = {
            name: {of: cost(sentence, tokenizer) for of, sentence in SENTENCES.items()}
            for name, tokenizer in tokenizers.items()
        }
        with picture_pane:
            _bars(costs, unit)
        _one_sentence(own.strip() or SENTENCES[language], tokenizers, costs, text)
        _predict(costs["stories"], text)


def _bars(costs: Costs, unit: str) -> None:
    """Every language's sentence in tokens of each tokenizer, or in bytes or characters, which all share."""
    if unit == "tokens":
        groups = {name: [taken.n_tokens for taken in of.values()] for name, of in costs.items()}
    else:
        groups = {unit: [getattr(taken, f"n_{unit}") for taken in costs["stories"].values()]}
    picture = plots.columns(
        list(SENTENCES), groups, y_title=unit, form=".0f", height=280, revision=f"languages {unit}"
    )
    figures.show(picture, key="c2_lang_bars")


def _one_sentence(
    sentence: str, tokenizers: Mapping[str, Tokenizer], costs: Costs, text: words.Words
) -> None:
    """A sentence under each tokenizer: what it costs beside English, and its tokens."""
    st.markdown(f"> {escape.markdown(sentence)}")
    for name, tokenizer in tokenizers.items():
        taken = cost(sentence, tokenizer)
        text.show(
            "lab_lang_says",
            name=name,
            tokens=taken.n_tokens,
            characters=taken.n_characters,
            bytes=taken.n_bytes,
            times=taken.n_tokens / costs[name]["English"].n_tokens,
        )
        chips.strip(
            byte_chips(tokenizer.encode(sentence)[:MOST_CHIPS], tokenizer),
            key=f"c2_lang_{name.replace(' ', '_').replace('-', '')}",
            label=f"The sentence as tokens: {name}",
        )


def _predict(ours: Mapping[str, Cost], text: words.Words) -> None:
    chinese, english = ours["Chinese"], ours["English"]
    lab.predict(
        "c2_lang",
        text.read("lab_lang_predict", chinese=chinese.n_tokens, english=english.n_tokens),
        (
            text.read("lab_lang_predict_fewer"),
            text.read("lab_lang_predict_same"),
            text.read("lab_lang_predict_more"),
        ),
        right=0 if chinese.n_bytes < english.n_bytes else 1 if chinese.n_bytes == english.n_bytes else 2,
        because=text.read(
            "lab_lang_predict_because",
            bytes=chinese.n_bytes,
            english=english.n_bytes,
            each=chinese.n_tokens / chinese.n_characters,
        ),
        then={"c2_lang_by": "bytes", "c2_lang_which": "Chinese"},
    )
