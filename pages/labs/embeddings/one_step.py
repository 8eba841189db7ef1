"""Chapter 3: which rows of the embedding table one training step moves."""

import streamlit as st

from gptcore.interpret import embedding_table
from pages.kit import escape, figures, grids, prompt, words

READ = "3 7 7 1 4"


@st.fragment
def one_step() -> None:
    """Which rows one step of learning moves, three ways."""
    text = words.load("03_embeddings")
    st.subheader(text.read("example_step_title"), anchor="step")
    text.show(
        "example_step",
        v=embedding_table.SMALL.vocab_size,
        rate=embedding_table.RATE,
        decay=embedding_table.DECAY,
    )
    typed = prompt.text_input(text.read("example_step_ids"), "c3_step_ids", READ)
    ids = [int(one) for one in typed.replace(",", " ").split() if one.lstrip("-").isdigit()][:32]
    try:
        moves = {way: embedding_table.single_update(ids, way) for way in embedding_table.WAYS}
    except ValueError as error:
        st.info(escape.sentence(f"{error}."), icon=":material/info:")
        return
    seen = moves[embedding_table.WAYS[0]].seen
    names = [f"{one}{' read' if one in seen else ''}" for one in range(embedding_table.SMALL.vocab_size)]
    far = list(zip(*(moves[way].far.tolist() for way in embedding_table.WAYS)))
    picture = grids.heatmap(
        [[one**0.5 for one in row] for row in far],
        rows=names,
        columns=embedding_table.WAYS,
        row_title="row of the table",
        column_title="",
        what="root of the distance",
        highest=None,
        height=430,
        revision="step",
        alt="How far each row moves, three ways: "
        + "; ".join(_said(way, moves[way]) for way in embedding_table.WAYS),
    )
    picture.figure.update_traces(
        text=[[f"{one:.2g}" if one else "0" for one in row] for row in far], texttemplate="%{text}"
    )
    picture.figure.update_xaxes(tickangle=0, side="top")
    figures.show(picture, key="c3_step_rows")
    untied, tied, decayed = (moves[way].n_unseen_changed for way in embedding_table.WAYS)
    text.show(
        "example_step_says",
        read=len(seen),
        others=embedding_table.SMALL.vocab_size - len(seen),
        untied=untied,
        tied=tied,
        decayed=decayed,
    )


def _said(way: str, moves) -> str:
    return f"{way}, {moves.n_unseen_changed} of the rows that were not read"
