"""Chapter 2: what the same sentence costs in fourteen languages."""

import streamlit as st

from gptcore.lessons.bpe_steps import cost
from gptcore.lessons.languages import SENTENCES
from pages.kit import chips, controls, figures, lab, plots, prompt, words
from pages.labs.tokens.same_text import about_gpt2, kinds
from pages.labs.tokens.token_chips import MOST_CHIPS, colored


@st.fragment
def languages() -> None:
    """What the same sentence costs in fourteen languages, and one of the visitor's own."""
    text = words.load("02_tokens")
    with lab.frame("c2_lang", text.read("lab_lang_title")):
        text.show("lab_lang")
        left, right = st.columns([2, 3], gap="large", vertical_alignment="bottom")
        with left:
            by = controls.choice(text.read("lab_lang_count"), "c2_lang_by", ("tokens", "bytes", "characters"))
        with right:
            chosen = controls.listed(
                text.read("lab_lang_sentence"), "c2_lang_which", list(SENTENCES), default="Hindi"
            )
        found = {name: one for name, one in kinds().items() if name != "bytes"}
        costs = {
            name: {language: cost(sentence, one) for language, sentence in SENTENCES.items()}
            for name, one in found.items()
        }
        ours = costs["stories"]
        if by == "tokens":
            groups = {
                name: [one.n_tokens for one in by_language.values()] for name, by_language in costs.items()
            }
        else:
            groups = {by: [getattr(one, f"n_{by}") for one in ours.values()]}
        picture = plots.columns(
            list(SENTENCES), groups, y_title=by, form=".0f", height=300, revision=f"languages {by}"
        )
        st.plotly_chart(picture.figure, key="c2_lang_bars", config=figures.CONFIG, alt=picture.alt)
        about_gpt2(text)
        own = prompt.text_input(text.read("lab_lang_own"), "c2_lang_own", "")
        sentence = own.strip() or SENTENCES[chosen]
        st.markdown(f"> {sentence.replace('$', chr(92) + '$')}")
        for name, tokenizer in found.items():
            ids = tokenizer.encode(sentence)
            one = cost(sentence, tokenizer)
            text.show(
                "lab_lang_says",
                name=name,
                tokens=one.n_tokens,
                characters=one.n_characters,
                bytes=one.n_bytes,
                times=one.n_tokens / costs[name]["English"].n_tokens,
            )
            chips.strip(
                colored(ids[:MOST_CHIPS], tokenizer),
                key=f"c2_lang_{name.replace(' ', '_').replace('-', '')}",
                label=f"The sentence in tokens: {name}",
            )
        chinese, english = ours["Chinese"], ours["English"]
        lab.predict(
            "c2_lang",
            text.read("lab_lang_predict", chinese=chinese.n_characters, english=english.n_characters),
            (
                text.read("lab_lang_predict_fewer"),
                text.read("lab_lang_predict_same"),
                text.read("lab_lang_predict_more"),
            ),
            right=2 if chinese.n_tokens > 1.2 * english.n_tokens else 1,
            because=text.read(
                "lab_lang_predict_because",
                tokens=chinese.n_tokens,
                bytes=chinese.n_bytes,
                english=english.n_tokens,
                each=chinese.n_tokens / chinese.n_characters,
            ),
            then={"c2_lang_which": "Chinese"},
        )
