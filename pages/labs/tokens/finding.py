"""Chapter 2: the finding at its top, the worked example, and the way of a text through a tokenizer."""

import streamlit as st

from pages.kit import (
    annotated,
    chips,
    controls,
    diagram,
    dim_colors,
    figures,
    plots,
    prompt,
    session,
    story_data,
    words,
)
from pages.kit.controls import Dial
from pages.kit.worked_example import Steps
from pages.labs.tokens import cached

FEW_WORDS = "the cat sat on the mat and the rat"
NEW_WORD = "that hat"
IN_FRONT = ("English", "German", "Greek", "Chinese", "Hindi")
MOST_SHOWN = 12  # lines of a table in the worked example
DARKEST = 8  # bytes: a token that carries so many is shaded fully


def code(token: str) -> str:
    """A token as a code span of Markdown, its spaces visible."""
    return f"`{chips.visible(token).replace('`', 'ˋ')}`"


def cell(token: str) -> str:
    """A token as a code span inside a table, where a bar would end the cell."""
    return code(token).replace("|", r"\|")


def parts(ids, tokenizer) -> str:
    """Tokens side by side, each a code span."""
    return " ".join(code(tokenizer.token_text(one)) for one in ids)


def colored(ids, tokenizer) -> list[chips.Chip]:
    """Tokens as chips, the darker the more bytes one carries; those that are no text are hatched."""
    made = []
    for one in ids:
        size, shown = len(tokenizer.token_bytes(one)), tokenizer.token_text(one)
        broken = "\ufffd" in tokenizer.decode([one])
        made.append(
            chips.Chip(
                chips.visible(shown),
                "unknown" if broken else "plain",
                f"token {one}, {size} byte{'s' if size > 1 else ''}",
                None if broken else min(1.0, (size - 1) / (DARKEST - 1)),
            )
        )
    return made


def finding() -> None:
    """One sentence in five languages: what it costs in tokens."""
    from gptcore.lessons.bpe_steps import cost
    from gptcore.lessons.languages import SENTENCES

    text = words.load("02_tokens")
    ours, other = story_data.story_tokenizer(), cached.gpt2().tokenizer
    counted = {"our tokenizer": [cost(SENTENCES[name], ours).n_tokens for name in IN_FRONT]}
    if other is not None:
        counted["GPT-2's"] = [cost(SENTENCES[name], other).n_tokens for name in IN_FRONT]
    english, last = counted["our tokenizer"][0], counted["our tokenizer"][-1]
    text.show(
        "finding",
        sentence=SENTENCES["English"],
        english=english,
        last=last,
        language=IN_FRONT[-1],
        times=last / english,
        characters=len(SENTENCES["English"]),
        fewer=len(SENTENCES[IN_FRONT[-1]]),
    )
    picture = plots.columns(
        IN_FRONT, counted, y_title=text.read("finding_chart"), form=".0f", height=270, revision="finding"
    )
    st.plotly_chart(picture.figure, key="c2_finding", config=figures.CONFIG, alt=picture.alt)


@st.fragment
def worked_example() -> None:
    """Byte-pair encoding on a few words: every merge with its count and its ties, then a new word."""
    from gptcore.lessons import bpe_steps

    text = words.load("02_tokens")
    text.show("example")
    left, right = st.columns([3, 2], gap="large")
    with left:
        typed = prompt.text_input(text.read("example_text"), "c2_text", FEW_WORDS)
        new = prompt.text_input(text.read("example_word"), "c2_new", NEW_WORD)[:40]
    with right:
        n_merges = controls.whole(
            text.read("example_merges"), "c2_merges", Dial("", 1, 12, 1, text.read("example_merges_help")), 6
        )
    if not typed.strip():
        st.info(text.read("example_empty"), icon=":material/info:")
        return
    tokenizer = cached.trained_tokenizer(typed, n_merges)
    open_ = Steps(7)
    cut = list(dict.fromkeys(tokenizer.pieces(typed)))
    counts = {piece: tokenizer.pieces(typed).count(piece) for piece in cut}
    bare = tokenizer.first(0)
    if open_(text.read("example_cut_title")):
        text.show("example_cut")
        shown = [f"{code(piece)} × {counts[piece]}" for piece in cut[:MOST_SHOWN]]
        st.markdown(" · ".join(shown) + (" · …" if len(cut) > MOST_SHOWN else ""))
    if open_(text.read("example_bytes_title")):
        text.show("example_bytes", n=len(bare.encode_slowly(typed)))
        _spelled(cut, bare)
    competing = bpe_steps.pairs(typed, bare)
    ties = bpe_steps.tied(competing)
    if open_(text.read("example_count_title")):
        text.show("example_count")
        _pairs(competing, bare)
        if competing:
            pair = (
                code(bare.token_text(competing[0].left)) + " + " + code(bare.token_text(competing[0].right))
            )
            if len(ties) > 1:
                text.show("example_ties", pair=pair, count=competing[0].count, ties=len(ties))
            else:
                text.show("example_no_ties", pair=pair, count=competing[0].count)
    if open_(text.read("example_merge_title")):
        if tokenizer.merges:
            first = tokenizer.merges[0]
            once = tokenizer.first(1)
            text.show(
                "example_merge",
                token=code(tokenizer.token_text(first.id)),
                id=first.id,
                before=len(bare.encode_slowly(typed)),
                after=len(once.encode_slowly(typed)),
            )
            _spelled(cut, once)
        else:
            text.show("example_nothing")
    if open_(text.read("example_again_title")):
        text.show("example_again", asked=n_merges, made=len(tokenizer.merges))
        _merges(typed, tokenizer)
        _spelled(cut, tokenizer)
    if open_(text.read("example_new_title")):
        text.show("example_new")
        _replayed(new, tokenizer)
    if open_(text.read("example_back_title")):
        ids = tokenizer.encode_slowly(new)
        text.show(
            "example_back",
            ids=" ".join(map(str, ids)) or "–",
            data=" ".join(f"{byte:02X}" for byte in tokenizer.decode_bytes(ids)) or "–",
            back=code(tokenizer.decode(ids)),
            vocabulary=tokenizer.vocab_size,
            made=len(tokenizer.merges),
        )


def _spelled(cut: list[str], tokenizer) -> None:
    """Each piece as its tokens stand now."""
    lines = [parts(tokenizer.encode_slowly(piece), tokenizer) for piece in cut[:MOST_SHOWN]]
    st.markdown(" &nbsp;|&nbsp; ".join(lines) + (" &nbsp;|&nbsp; …" if len(cut) > MOST_SHOWN else ""))


def _pairs(competing, tokenizer) -> None:
    """The pairs that stand highest, those of equal count marked."""
    top = competing[0].count if competing else 0
    lines = ["| pair | ids | times together | place |", "| --- | --- | --- | --- |"]
    for place, pair in enumerate(competing[:6]):
        both = f"{cell(tokenizer.token_text(pair.left))} + {cell(tokenizer.token_text(pair.right))}"
        mark = "merged" if place == 0 else "tie" if pair.count == top else ""
        lines.append(f"| {both} | {pair.left}, {pair.right} | {pair.count} | {mark} |")
    st.markdown("\n".join(lines))


def _merges(typed: str, tokenizer) -> None:
    """Every merge: the pair, its count, how many stood as high, the tokens left in the text."""
    from gptcore.lessons import bpe_steps

    lines = ["| merge | token | count | as high | tokens left |", "| --- | --- | --- | --- | --- |"]
    for place, merge in enumerate(tokenizer.merges):
        ties = len(bpe_steps.tied(bpe_steps.pairs(typed, tokenizer.first(place))))
        both = f"{cell(tokenizer.token_text(merge.left))} + {cell(tokenizer.token_text(merge.right))}"
        left = len(tokenizer.first(place + 1).encode_slowly(typed))
        lines.append(
            f"| {both} | {merge.id} {cell(tokenizer.token_text(merge.id))} | {merge.count} | {ties} | {left} |"
        )
    st.markdown("\n".join(lines))


def _replayed(new: str, tokenizer) -> None:
    """A new text, piece by piece, merge by merge."""
    from gptcore.lessons import bpe_steps

    for piece in tokenizer.pieces(new)[:4]:
        moments = bpe_steps.replay(piece, tokenizer)
        lines = []
        for moment in moments:
            by = "bytes" if moment.merge is None else f"merge {moment.merge.id - 255}"
            lines.append(f"{by}: {parts(moment.ids, tokenizer)}")
        st.markdown(f"{code(piece)}: " + " → ".join(lines))


def learn() -> None:
    """The heart of training, which is longer."""
    words.load("02_tokens").show("code_learn")
    annotated.code("bpe.learn_merges", key="c2_code_learn")


@st.fragment
def flow() -> None:
    """A text on its way to vectors, with the shapes of the model in use."""
    text = words.load("02_tokens")
    model = session.model_in_use()
    typed = prompt.text_input(text.read("diagram_text"), "c2_flow_text", "The queen lost her ring.")
    tokenizer, config = model.tokenizer, model.config
    ids = tokenizer.encode(typed)
    text.show("diagram", n_bytes=len(typed.encode("utf-8", "replace")), n_tokens=len(ids))
    chips.strip(colored(ids, tokenizer), key="c2_flow_tokens", label="The text in the model's tokens")
    sizes = dim_colors.sizes_of(config)
    t, c, v = len(ids), sizes["C"], sizes["V"]
    node, edge = diagram.Node, diagram.Edge
    diagram.flowchart(
        [
            node("text", f"text, {len(typed)} characters"),
            node("cut", "cut by the pattern", "step"),
            node("pieces", f"{len(tokenizer.pieces(typed))} pieces"),
            node("utf", "write in UTF-8", "step"),
            node("bytes", f"{len(typed.encode('utf-8', 'replace'))} bytes"),
            node("merge", f"{len(tokenizer.merges):,} merges, in their order", "step"),
            node("ids", "ids", sizes={"T": t}),
            node("table", "embedding: one row a token", "weight", {"V": v, "C": c}),
            node("x", "vectors, into the first block", sizes={"T": t, "C": c}),
        ],
        [
            edge("text", "cut"),
            edge("cut", "pieces"),
            edge("pieces", "utf"),
            edge("utf", "bytes"),
            edge("bytes", "merge"),
            edge("merge", "ids"),
            edge("ids", "table", "look up"),
            edge("table", "x"),
        ],
        alt="A text on its way to ids and vectors",
    )
    text.show("diagram_back")
