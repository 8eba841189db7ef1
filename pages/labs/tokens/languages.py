"""Chapter 2: the length of one sentence in fourteen languages, in tokens, bytes or characters."""

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
    """The length of one sentence in fourteen languages, and of a sentence that the visitor types."""
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
        tokenizers = {name: tokenizer for name, tokenizer in compared_tokenizers().items() if name != "bytes"}
        costs = {
            name: {spoken: cost(sentence, tokenizer) for spoken, sentence in SENTENCES.items()}
            for name, tokenizer in tokenizers.items()
        }
        with picture_pane:
            _bars(costs, unit)
        _one_sentence(own.strip() or SENTENCES[language], tokenizers, costs, text)
        _predict(costs["stories"], text)


def _bars(costs: Costs, unit: str) -> None:
    """The sentence of every language in tokens of each tokenizer, or in bytes or characters (the same for all)."""
    if unit == "tokens":
        groups = {
            name: [counts.n_tokens for counts in by_language.values()] for name, by_language in costs.items()
        }
    else:
        groups = {unit: [getattr(counts, f"n_{unit}") for counts in costs["stories"].values()]}
    picture = plots.columns(
        list(SENTENCES), groups, y_title=unit, form=".0f", height=280, revision=f"languages {unit}"
    )
    figures.show(picture, key="c2_lang_bars")


def _one_sentence(
    sentence: str, tokenizers: Mapping[str, Tokenizer], costs: Costs, text: words.Words
) -> None:
    """A sentence under each tokenizer: its length relative to English, and its tokens."""
    st.markdown(f"> {escape.markdown(sentence)}")
    for name, tokenizer in tokenizers.items():
        counts = cost(sentence, tokenizer)
        text.show(
            "lab_lang_says",
            name=name,
            tokens=counts.n_tokens,
            characters=counts.n_characters,
            bytes=counts.n_bytes,
            times=counts.n_tokens / costs[name]["English"].n_tokens,
        )
        chips.strip(
            byte_chips(tokenizer.encode(sentence)[:MOST_CHIPS], tokenizer),
            key=f"c2_lang_{name.replace(' ', '_').replace('-', '')}",
            label=f"The sentence as tokens: {name}",
        )


def _predict(story_costs: Mapping[str, Cost], text: words.Words) -> None:
    chinese, english = story_costs["Chinese"], story_costs["English"]
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
