"""Chapter 2: a tokenizer trained on any text, merge by merge."""

import inspect

import streamlit as st

import gptcore.tokenizer
from gptcore.lessons import bpe_steps
from pages.kit import annotated, controls, figures, lab, links, plots, story_data, words
from pages.kit.chips import Chip, strip
from pages.kit.controls import Dial
from pages.kit.token_text import byte_chips, code_span, table_cell
from pages.labs.tokens import cached

MOST_MERGES = 300
STOPS = (0, 10, 25, 50, 75, 100, 150, 200, 250, 300)
LONGEST_TEXT = 20_000  # characters of a visitor's text that the tokenizer is trained on
SHOWN = 240  # characters of the text that are drawn as chips
SOURCES = ("stories", "code", "your own")


def learning_code() -> None:
    """The core of the training, in an expander because it is longer."""
    words.load("02_tokens").show("code_learn")
    annotated.code("bpe.learn_merges", key="c2_code_learn")


def _source(name: str, text: words.Words) -> str:
    """The training text of this source."""
    if name == "stories":
        return "\n".join(story_data.fresh_stories(40))
    if name == "code":
        return inspect.getsource(gptcore.tokenizer)
    return own_text(text.read("lab_train_own"), "c2_train_own", text.read("lab_train_own_default"))


def own_text(label: str, key: str, default: str) -> str:
    """An input for a longer text of the visitor; a short text is part of the link."""
    kept_key = f"{key}_kept"
    initial = st.session_state.get(kept_key, links.read(key, links.Text(), default))
    typed = st.text_area(
        label, initial, key=key, height=120, max_chars=LONGEST_TEXT, disabled=links.locked(key)
    )
    st.session_state[kept_key] = typed
    links.write(key, typed, default)
    return typed


@st.fragment
def merge_scrubber() -> None:
    """Train BPE on a text and move through its merges."""
    text = words.load("02_tokens")
    with lab.frame("c2_train", text.read("lab_train_title")):
        text.show("lab_train")
        left, right = st.columns([1, 2], gap="large")
        with left:
            source = controls.choice(text.read("lab_train_source"), "c2_train_source", SOURCES)
        with right:
            n = controls.integer(
                text.read("lab_train_merges"),
                "c2_train_n",
                Dial("", 0, MOST_MERGES, 1, text.read("lab_train_merges_help")),
                50,
            )
        learned_from = _source(source, text)
        if not learned_from.strip():
            st.info(text.read("example_empty"), icon=":material/info:")
            return
        trained = cached.trained_tokenizer(learned_from, MOST_MERGES)
        n_learned = len(trained.merges)
        current = trained.first(n)
        _describe_merge(learned_from, trained, min(n, n_learned), text)
        strip(
            _chips(learned_from[:SHOWN], current, min(n, n_learned)),
            key="c2_train_tokens",
            label=f"The beginning of the text after {min(n, n_learned)} merges",
        )
        stops = tuple(stop for stop in STOPS if stop <= n_learned) or (0,)
        lengths = cached.tokens_after(learned_from, MOST_MERGES, stops)
        n_bytes = len(learned_from.encode("utf-8", "replace"))
        left_below, right_below = st.columns([3, 2], gap="large")
        with left_below:
            picture = plots.curves(
                stops,
                {"bytes per token": [n_bytes / n_tokens for n_tokens in lengths]},
                x_title="merges",
                y_title="bytes per token",
                mark_x=min(n, n_learned),
                height=280,
                revision=f"train {source}",
            )
            picture.figure.update_layout(showlegend=False)
            figures.show(picture, key="c2_train_curve")
        with right_below:
            st.markdown(f"**{text.read('lab_train_next')}**")
            _pair_table(bpe_steps.pairs(learned_from, current), current)
        _predict(lengths, stops, n_bytes, text)


def _describe_merge(learned_from: str, trained, n: int, text: words.Words) -> None:
    """The selected merge in one sentence."""
    current = trained.first(n)
    length = len(current.encode_slowly(learned_from))
    n_bytes = len(learned_from.encode("utf-8", "replace"))
    if n == 0:
        text.show("lab_train_none", tokens=length)
        return
    merge = trained.merges[n - 1]
    text.show(
        "lab_train_says",
        n=n,
        left=code_span(trained.token_text(merge.left)),
        right=code_span(trained.token_text(merge.right)),
        token=code_span(trained.token_text(merge.id)),
        count=merge.count,
        id=merge.id,
        tokens=length,
        ratio=n_bytes / length,
    )


def _chips(shown: str, tokenizer, n: int) -> list[Chip]:
    ids = tokenizer.encode_slowly(shown)
    newest = 255 + n
    return [
        Chip(chip.text, "asks", f"{chip.note}, made by the last merge", chip.share)
        if n and token == newest
        else chip
        for token, chip in zip(ids, byte_chips(ids, tokenizer))
    ]


def _pair_table(ranked_pairs, tokenizer) -> None:
    top = ranked_pairs[0].count if ranked_pairs else 0
    lines = ["| pair | count | status |", "| --- | --- | --- |"]
    for rank, pair in enumerate(ranked_pairs[:6]):
        pair_cell = (
            f"{table_cell(tokenizer.token_text(pair.left))} + {table_cell(tokenizer.token_text(pair.right))}"
        )
        lines.append(
            f"| {pair_cell} | {pair.count} | {'next' if rank == 0 else 'tie' if pair.count == top else ''} |"
        )
    st.markdown("\n".join(lines))


def _predict(lengths: list[int], stops: tuple[int, ...], n_bytes: int, text: words.Words) -> None:
    if not {50, 100, 150} <= set(stops):
        return
    at = {stop: length for stop, length in zip(stops, lengths)}
    first, second = at[0] - at[50], at[50] - at[100]
    lab.predict(
        "c2_train",
        text.read("lab_train_predict"),
        (
            text.read("lab_train_predict_same"),
            text.read("lab_train_predict_more"),
            text.read("lab_train_predict_less"),
        ),
        right=2 if second < 0.95 * first else 1 if second > 1.05 * first else 0,
        because=text.read(
            "lab_train_predict_because", first=first, second=second, third=at[100] - at[150], bytes=n_bytes
        ),
        then={"c2_train_n": 100},
    )
