"""Chapter 2: one text under several tokenizers, what a vocabulary costs, and what a language costs."""

import streamlit as st

from pages.kit import (
    chips,
    controls,
    dim_colors,
    figures,
    forward,
    generation_figures,
    lab,
    models,
    plots,
    prompt,
    session,
    story_data,
    words,
)
from pages.kit.plots import Band
from pages.labs.tokens import cached
from pages.labs.tokens.finding import cell, colored

EXAMPLES = (
    "The queen's golden ring fell into the river.",
    "Hello 🐢 from café Zürich",
    "for i in range(10):\n    total += x[i]".replace("\n", " "),
    "3 + 14 = 17, and 1234567 is a number",
    "cat  cat   Cat CAT concat",
)
SIZES = (257, 320, 400, 512, 640, 800, 1024, 1280, 1600, 2048)
MOST_CHIPS = 200
GPT2_SIZE = 50_257


def kinds() -> dict[str, object]:
    """The tokenizers to compare, by name; GPT-2's where it could be had."""
    ours = story_data.story_tokenizer()
    found = {"bytes": ours.first(0), "stories": ours}
    model = session.model_in_use()
    if model.name != models.SHIPPED and model.tokenizer.ranks != ours.ranks:
        found["your model"] = model.tokenizer
    if (other := cached.gpt2().tokenizer) is not None:
        found["GPT-2"] = other
    return found


def about_gpt2(text: words.Words) -> None:
    """One sentence where GPT-2's vocabulary is not there."""
    fetched = cached.gpt2()
    if fetched.tokenizer is None:
        st.caption(text.read("lab_same_no_gpt2" if fetched.problem else "lab_same_gpt2_comes"))


@st.fragment
def same_text() -> None:
    """The same text in bytes, under the story tokenizer and under GPT-2's."""
    from gptcore.lessons.bpe_steps import cost

    text = words.load("02_tokens")
    with lab.frame("c2_same", text.read("lab_same_title")):
        text.show("lab_same")
        typed = prompt.text_input(text.read("lab_same_text"), "c2_same_text", EXAMPLES[1], EXAMPLES)
        found = kinds()
        lines = [
            f"| tokenizer | {dim_colors.chip('V')} | {dim_colors.chip('T')} | bytes a token |",
            "| --- | --- | --- | --- |",
        ]
        for name, tokenizer in found.items():
            one = cost(typed, tokenizer)
            lines.append(
                f"| {name} | {tokenizer.vocab_size:,} | {one.n_tokens} | {one.bytes_per_token:.2f} |"
            )
        st.markdown("\n".join(lines))
        about_gpt2(text)
        for name, tokenizer in found.items():
            ids = tokenizer.encode(typed)
            st.markdown(f"**{name}**, {len(ids)} tokens")
            chips.strip(
                colored(ids[:MOST_CHIPS], tokenizer),
                key=f"c2_same_{name.replace(' ', '_').replace('-', '')}",
                label=f"The text in tokens: {name}",
            )
            if len(ids) > MOST_CHIPS:
                st.caption(f"The first {MOST_CHIPS} of {len(ids)}.")
        text.show("lab_same_says")
        _twins(text)
        ours = story_data.story_tokenizer()
        turtle, small, large = (len(ours.encode(word)) for word in ("🐢", " queen", " QUEEN"))
        lab.predict(
            "c2_same",
            text.read("lab_same_predict", small=small),
            (
                text.read("lab_same_predict_one"),
                text.read("lab_same_predict_many"),
                text.read("lab_same_predict_unknown"),
            ),
            right=0 if large == 1 else 1,
            because=text.read("lab_same_predict_because", large=large, turtle=turtle),
            then={"c2_same_text": "the queen, the QUEEN and a 🐢"},
        )


def _twins(text: words.Words) -> None:
    """The same word with a space before it, without, and with a capital: other ids, other rows."""
    ours = story_data.story_tokenizer()
    lines = ["| written | ids | tokens |", "| --- | --- | --- |"]
    for word in (" cat", "cat", " Cat"):
        ids = ours.encode(word)
        shown = " ".join(cell(ours.token_text(one)) for one in ids)
        lines.append(f"| {cell(word)} | {', '.join(map(str, ids))} | {shown} |")
    st.markdown("\n".join(lines))
    text.show("lab_same_twins")


@st.fragment
def sizes() -> None:
    """The length of a text, and the size of the table, against the size of the vocabulary."""
    from gptcore.account import n_parameters, parameters
    from gptcore.config import PRESETS

    text = words.load("02_tokens")
    with lab.frame("c2_size", text.read("lab_size_title")):
        text.show("lab_size")
        left, right = st.columns(2, gap="large")
        with left:
            size = controls.stops(text.read("lab_size_vocabulary"), "c2_size_v", SIZES, 1024)
        with right:
            preset = controls.choice(text.read("lab_size_model"), "c2_size_model", ("nano", "tiny", "small"))
        n_bytes, counts = cached.story_costs(SIZES)
        shape = PRESETS[preset].model
        shares = {}
        for one in (*SIZES, GPT2_SIZE):
            config = shape.replace(vocab_size=one)
            shares[one] = parameters(config)["embedding"] / n_parameters(config)
        at = SIZES.index(size)
        text.show(
            "lab_size_says",
            v=size,
            tokens=counts[at],
            ratio=n_bytes / counts[at],
            shorter=counts[0] / counts[at],
            pairs=(counts[0] / counts[at]) ** 2,
            weights=size * shape.d_model,
            width=shape.d_model,
            share=shares[size],
            preset=preset,
        )
        one, two = st.columns(2, gap="large")
        with one:
            picture = plots.curves(
                SIZES,
                {"tokens": Band([count / counts[0] for count in counts])},
                x_title="tokens in the vocabulary, V",
                y_title="length of the text, bytes = 1",
                mark_x=size,
                y_range=(0, 1.05),
                height=280,
                revision="size length",
            )
            picture.figure.update_layout(showlegend=False)
            st.plotly_chart(picture.figure, key="c2_size_length", config=figures.CONFIG, alt=picture.alt)
        with two:
            picture = plots.curves(
                SIZES,
                {"table": Band([shares[one] for one in SIZES])},
                x_title="tokens in the vocabulary, V",
                y_title="the table's share of all weights",
                mark_x=size,
                y_range=(0, 1.05 * max(shares[one] for one in SIZES)),
                height=280,
                revision=f"size share {preset}",
            )
            picture.figure.update_layout(showlegend=False)
            picture.figure.update_yaxes(tickformat=".0%")
            st.plotly_chart(picture.figure, key="c2_size_share", config=figures.CONFIG, alt=picture.alt)
        nano = PRESETS["nano"].model.replace(vocab_size=GPT2_SIZE)
        share = parameters(nano)["embedding"] / n_parameters(nano)
        lab.predict(
            "c2_size",
            text.read("lab_size_predict", gpt2=GPT2_SIZE, width=nano.d_model),
            (
                text.read("lab_size_predict_tenth"),
                text.read("lab_size_predict_third"),
                text.read("lab_size_predict_most"),
            ),
            right=2 if share > 0.5 else 1 if share > 0.2 else 0,
            because=text.read("lab_size_predict_because", share=share, weights=GPT2_SIZE * nano.d_model),
        )


@st.fragment
def languages() -> None:
    """What the same sentence costs in fourteen languages, and one of the visitor's own."""
    from gptcore.lessons.bpe_steps import cost
    from gptcore.lessons.languages import SENTENCES

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


@st.fragment
def last_space() -> None:
    """What a model expects after a prompt, and after the same prompt with a space at its end."""
    text = words.load("02_tokens")
    model = session.model_in_use()
    text.show("lab_space")
    typed = prompt.text_input(
        text.read("lab_space_text"), "c2_space_text", "Once upon a time there was a"
    ).rstrip()
    limit = model.config.context_length - 2
    if not 0 < len(model.tokenizer.encode(typed)) <= limit:
        st.info(f"Give a text of 1 to {limit} tokens.", icon=":material/info:")
        return
    chances = []
    for column, shown, given in zip(
        st.columns(2, gap="large"),
        (text.read("lab_space_without"), text.read("lab_space_with")),
        (typed, typed + " "),
    ):
        best = forward.continuation(model, given, 1)[0][1]
        ids = model.tokenizer.encode(given)
        chances.append(best[0][1])
        with column:
            st.markdown(f"**{shown}**")
            chips.strip(
                colored(ids[-6:], model.tokenizer),
                key=f"c2_space_{len(chances)}",
                label=f"The last tokens, {shown}",
            )
            picture = generation_figures.probability_bars(
                [name for name, _ in best], [p for _, p in best], revision=shown
            )
            st.plotly_chart(
                picture.figure, key=f"c2_space_bars_{len(chances)}", config=figures.CONFIG, alt=picture.alt
            )
    writes = forward.continuation(model, typed + " ", 8)
    text.show("lab_space_says", writes="".join(name for name, _ in writes).strip() or "–")


@st.fragment
def half_an_emoji() -> None:
    """Tokens as they come from a model: each decoded alone, and with unfinished characters held back."""
    from gptcore.lessons.bpe_steps import shown_as_it_comes

    text = words.load("02_tokens")
    text.show("lab_stream")
    tokenizer = story_data.story_tokenizer()
    typed = prompt.text_input(text.read("lab_stream_text"), "c2_stream_text", "A café, 🐢!")
    ids = tokenizer.encode(typed)[:40]
    alone, held = shown_as_it_comes(tokenizer.token_bytes(one) for one in ids)
    lines = ["| token | its bytes | decoded alone | held back until whole |", "| --- | --- | --- | --- |"]
    for one, broken, whole in zip(ids, alone, held):
        data = " ".join(f"{byte:02X}" for byte in tokenizer.token_bytes(one))
        lines.append(f"| {one} | {data} | {cell(broken)} | {cell(whole) if whole else ''} |")
    if ids:
        st.markdown("\n".join(lines))
    text.show("lab_stream_says", broken=sum("\ufffd" in one for one in alone), n=len(ids))
