"""Chapter 2: the worked example, BPE trained and used by hand on a few words."""

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from gptcore.lessons import bpe_steps
from gptcore.tokenizer import Tokenizer
from pages.kit import controls, prompt, words
from pages.kit.controls import Dial
from pages.kit.escape import Markdown
from pages.kit.token_text import code_span, code_spans, table_cell
from pages.kit.worked_example import Steps
from pages.labs.tokens import cached

FEW_WORDS = "the cat sat on the mat and the rat"
NEW_WORD = "that hat"
MOST_SHOWN = 12  # pre-tokens that are shown


@st.fragment
def worked_example() -> None:
    """Byte-pair encoding on a few words: every merge with its count and ties, then a new text."""
    text = words.load("02_tokens")
    text.show("example")
    left, right = st.columns([3, 2], gap="large")
    with left:
        typed = prompt.text_input(text.read("example_text"), "c2_text", FEW_WORDS)
        new = prompt.text_input(text.read("example_word"), "c2_new", NEW_WORD)[:40]
    with right:
        n_merges = controls.integer(
            text.read("example_merges"), "c2_merges", Dial("", 1, 12, 1, text.read("example_merges_help")), 6
        )
    if not typed.strip():
        st.info(text.read("example_empty"), icon=":material/info:")
        return
    tokenizer = cached.trained_tokenizer(typed, n_merges)
    with Steps(7, key="c2_steps") as steps:
        _train_steps(typed, tokenizer, n_merges, steps, text)
        _encode_steps(new, tokenizer, steps, text)


def _train_steps(typed: str, tokenizer: Tokenizer, n_merges: int, steps: Steps, text: words.Words) -> None:
    """Steps 1 to 5: pre-tokens, bytes, the counts of pairs, the first merge, all merges."""
    counts = Counter(tokenizer.pieces(typed))
    pre_tokens = list(counts)
    byte_tokenizer = tokenizer.first(0)
    if steps(text.read("example_cut_title")):
        text.show("example_cut")
        shown = [f"{code_span(pre_token)} × {counts[pre_token]}" for pre_token in pre_tokens[:MOST_SHOWN]]
        st.markdown(" · ".join(shown) + (" · …" if len(pre_tokens) > MOST_SHOWN else ""))
    if steps(text.read("example_bytes_title")):
        text.show("example_bytes", n=len(byte_tokenizer.encode_slowly(typed)))
        _show_tokens(pre_tokens, byte_tokenizer)
    if steps(text.read("example_count_title")):
        text.show("example_count")
        _show_counts(bpe_steps.pairs(typed, byte_tokenizer), byte_tokenizer, text)
    if steps(text.read("example_merge_title")):
        _merge_once(typed, pre_tokens, tokenizer, text)
    if steps(text.read("example_again_title")):
        text.show("example_again", asked=n_merges, made=len(tokenizer.merges))
        _merge_table(typed, tokenizer)
        _show_tokens(pre_tokens, tokenizer)


def _encode_steps(new: str, tokenizer: Tokenizer, steps: Steps, text: words.Words) -> None:
    """Steps 6 and 7: a new text encoded with the merges, and its ids decoded."""
    if steps(text.read("example_new_title")):
        text.show("example_new")
        _show_encoding(new, tokenizer)
    if steps(text.read("example_back_title")):
        ids = tokenizer.encode_slowly(new)
        text.show(
            "example_back",
            ids=" ".join(map(str, ids)) or "–",
            data=" ".join(f"{byte:02X}" for byte in tokenizer.decode_bytes(ids)) or "–",
            back=code_span(tokenizer.decode(ids)),
            vocabulary=tokenizer.vocab_size,
            made=len(tokenizer.merges),
        )


def _show_counts(
    ranked_pairs: Sequence[bpe_steps.Pair], byte_tokenizer: Tokenizer, text: words.Words
) -> None:
    """The most frequent pairs, and the number of ties for the highest count."""
    _pair_table(ranked_pairs, byte_tokenizer)
    if not ranked_pairs:
        return
    best, ties = ranked_pairs[0], bpe_steps.tied_pairs(ranked_pairs)
    pair = Markdown(
        f"{code_span(byte_tokenizer.token_text(best.left))} + {code_span(byte_tokenizer.token_text(best.right))}"
    )
    if len(ties) > 1:
        text.show("example_ties", pair=pair, count=best.count, ties=len(ties))
    else:
        text.show("example_no_ties", pair=pair, count=best.count)


def _merge_once(typed: str, pre_tokens: list[str], tokenizer: Tokenizer, text: words.Words) -> None:
    """The first merge, and the text after it."""
    if not tokenizer.merges:
        text.show("example_nothing")
        return
    first, merged_once = tokenizer.merges[0], tokenizer.first(1)
    text.show(
        "example_merge",
        token=code_span(tokenizer.token_text(first.id)),
        id=first.id,
        before=len(tokenizer.first(0).encode_slowly(typed)),
        after=len(merged_once.encode_slowly(typed)),
    )
    _show_tokens(pre_tokens, merged_once)


def _show_tokens(pre_tokens: list[str], tokenizer: Tokenizer) -> None:
    """Each pre-token as the tokens of this tokenizer."""
    lines = [
        code_spans(tokenizer.encode_slowly(pre_token), tokenizer) for pre_token in pre_tokens[:MOST_SHOWN]
    ]
    st.markdown(" &nbsp;|&nbsp; ".join(lines) + (" &nbsp;|&nbsp; …" if len(pre_tokens) > MOST_SHOWN else ""))


def _pair_table(ranked_pairs: Sequence[bpe_steps.Pair], tokenizer: Tokenizer) -> None:
    """A table of the most frequent pairs, with ties for the highest count marked."""
    top = ranked_pairs[0].count if ranked_pairs else 0
    lines = ["| pair | ids | count | status |", "| --- | --- | --- | --- |"]
    for rank, pair in enumerate(ranked_pairs[:6]):
        pair_cell = (
            f"{table_cell(tokenizer.token_text(pair.left))} + {table_cell(tokenizer.token_text(pair.right))}"
        )
        status = "merged" if rank == 0 else "tie" if pair.count == top else ""
        lines.append(f"| {pair_cell} | {pair.left}, {pair.right} | {pair.count} | {status} |")
    st.markdown("\n".join(lines))


def _merge_table(typed: str, tokenizer: Tokenizer) -> None:
    """A table of all merges: the pair, its count, the ties, the tokens left in the text."""
    lines = ["| merge | token | count | tied | tokens left |", "| --- | --- | --- | --- | --- |"]
    for n_before, merge in enumerate(tokenizer.merges):
        ties = len(bpe_steps.tied_pairs(bpe_steps.pairs(typed, tokenizer.first(n_before))))
        pair_cell = f"{table_cell(tokenizer.token_text(merge.left))} + {table_cell(tokenizer.token_text(merge.right))}"
        left = len(tokenizer.first(n_before + 1).encode_slowly(typed))
        token = table_cell(tokenizer.token_text(merge.id))
        lines.append(f"| {pair_cell} | {merge.id} {token} | {merge.count} | {ties} | {left} |")
    st.markdown("\n".join(lines))


def _show_encoding(new: str, tokenizer: Tokenizer) -> None:
    """The encoding of a new text: each pre-token, merge by merge."""
    for pre_token in tokenizer.pieces(new)[:4]:
        merge_states = bpe_steps.merge_steps(pre_token, tokenizer)
        lines = []
        for state in merge_states:
            label = "bytes" if state.merge is None else f"merge {state.merge.id - 255}"
            lines.append(f"{label}: {code_spans(state.ids, tokenizer)}")
        st.markdown(f"{code_span(pre_token)}: " + " → ".join(lines))
