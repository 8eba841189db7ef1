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
MOST_SHOWN = 12  # lines of a table in the worked example


@st.fragment
def worked_example() -> None:
    """Byte-pair encoding on a few words: every merge with its count and its ties, then a new word."""
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
    with Steps(7, key="c2_steps") as open_:
        _train_steps(typed, tokenizer, n_merges, open_, text)
        _encode_steps(new, tokenizer, open_, text)


def _train_steps(typed: str, tokenizer: Tokenizer, n_merges: int, open_: Steps, text: words.Words) -> None:
    """Steps 1 to 5: pre-tokens, bytes, the counts of pairs, the first merge, all merges."""
    counts = Counter(tokenizer.pieces(typed))
    cut = list(counts)
    bare = tokenizer.first(0)
    if open_(text.read("example_cut_title")):
        text.show("example_cut")
        shown = [f"{code_span(piece)} × {counts[piece]}" for piece in cut[:MOST_SHOWN]]
        st.markdown(" · ".join(shown) + (" · …" if len(cut) > MOST_SHOWN else ""))
    if open_(text.read("example_bytes_title")):
        text.show("example_bytes", n=len(bare.encode_slowly(typed)))
        _spelled(cut, bare)
    if open_(text.read("example_count_title")):
        text.show("example_count")
        _count(bpe_steps.pairs(typed, bare), bare, text)
    if open_(text.read("example_merge_title")):
        _merge_once(typed, cut, tokenizer, text)
    if open_(text.read("example_again_title")):
        text.show("example_again", asked=n_merges, made=len(tokenizer.merges))
        _merges(typed, tokenizer)
        _spelled(cut, tokenizer)


def _encode_steps(new: str, tokenizer: Tokenizer, open_: Steps, text: words.Words) -> None:
    """Steps 6 and 7: a new text merged by the same rules, and its ids turned back into text."""
    if open_(text.read("example_new_title")):
        text.show("example_new")
        _replayed(new, tokenizer)
    if open_(text.read("example_back_title")):
        ids = tokenizer.encode_slowly(new)
        text.show(
            "example_back",
            ids=" ".join(map(str, ids)) or "–",
            data=" ".join(f"{byte:02X}" for byte in tokenizer.decode_bytes(ids)) or "–",
            back=code_span(tokenizer.decode(ids)),
            vocabulary=tokenizer.vocab_size,
            made=len(tokenizer.merges),
        )


def _count(competing: Sequence[bpe_steps.Pair], bare: Tokenizer, text: words.Words) -> None:
    """The most frequent pairs, and how many tie for the first place."""
    _pairs(competing, bare)
    if not competing:
        return
    best, ties = competing[0], bpe_steps.tied_pairs(competing)
    pair = Markdown(f"{code_span(bare.token_text(best.left))} + {code_span(bare.token_text(best.right))}")
    if len(ties) > 1:
        text.show("example_ties", pair=pair, count=best.count, ties=len(ties))
    else:
        text.show("example_no_ties", pair=pair, count=best.count)


def _merge_once(typed: str, cut: list[str], tokenizer: Tokenizer, text: words.Words) -> None:
    """The first merge, and what it makes of the text."""
    if not tokenizer.merges:
        text.show("example_nothing")
        return
    first, once = tokenizer.merges[0], tokenizer.first(1)
    text.show(
        "example_merge",
        token=code_span(tokenizer.token_text(first.id)),
        id=first.id,
        before=len(tokenizer.first(0).encode_slowly(typed)),
        after=len(once.encode_slowly(typed)),
    )
    _spelled(cut, once)


def _spelled(cut: list[str], tokenizer: Tokenizer) -> None:
    """Each piece as its tokens stand now."""
    lines = [code_spans(tokenizer.encode_slowly(piece), tokenizer) for piece in cut[:MOST_SHOWN]]
    st.markdown(" &nbsp;|&nbsp; ".join(lines) + (" &nbsp;|&nbsp; …" if len(cut) > MOST_SHOWN else ""))


def _pairs(competing: Sequence[bpe_steps.Pair], tokenizer: Tokenizer) -> None:
    """The pairs that stand highest, those of equal count marked."""
    top = competing[0].count if competing else 0
    lines = ["| pair | ids | count | status |", "| --- | --- | --- | --- |"]
    for rank, pair in enumerate(competing[:6]):
        both = (
            f"{table_cell(tokenizer.token_text(pair.left))} + {table_cell(tokenizer.token_text(pair.right))}"
        )
        mark = "merged" if rank == 0 else "tie" if pair.count == top else ""
        lines.append(f"| {both} | {pair.left}, {pair.right} | {pair.count} | {mark} |")
    st.markdown("\n".join(lines))


def _merges(typed: str, tokenizer: Tokenizer) -> None:
    """Every merge: the pair, its count, how many pairs tied, the tokens left in the text."""
    lines = ["| merge | token | count | tied | tokens left |", "| --- | --- | --- | --- | --- |"]
    for n_before, merge in enumerate(tokenizer.merges):
        ties = len(bpe_steps.tied_pairs(bpe_steps.pairs(typed, tokenizer.first(n_before))))
        both = f"{table_cell(tokenizer.token_text(merge.left))} + {table_cell(tokenizer.token_text(merge.right))}"
        left = len(tokenizer.first(n_before + 1).encode_slowly(typed))
        lines.append(
            f"| {both} | {merge.id} {table_cell(tokenizer.token_text(merge.id))} | {merge.count} | {ties} | {left} |"
        )
    st.markdown("\n".join(lines))


def _replayed(new: str, tokenizer: Tokenizer) -> None:
    """A new text, piece by piece, merge by merge."""
    for piece in tokenizer.pieces(new)[:4]:
        moments = bpe_steps.merge_steps(piece, tokenizer)
        lines = []
        for moment in moments:
            by = "bytes" if moment.merge is None else f"merge {moment.merge.id - 255}"
            lines.append(f"{by}: {code_spans(moment.ids, tokenizer)}")
        st.markdown(f"{code_span(piece)}: " + " → ".join(lines))
