"""Chapter 3: which rows of the embedding table one training step moves."""

import streamlit as st

from gptcore.interpret import embedding_table
from pages.kit import cell_map, escape, formulas, prompt, words
from pages.kit.cell_map import CellMap
from pages.kit.formulas import Formula, Line, Operands, number, signed

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
    names = [f"{one}{' in batch' if one in seen else ''}" for one in range(embedding_table.SMALL.vocab_size)]
    far = list(zip(*(moves[way].far.tolist() for way in embedding_table.WAYS)))
    drawing = CellMap(
        values=[[one**0.5 for one in row] for row in far],
        texts=[[f"{one:.2g}" if one else "0" for one in row] for row in far],
        rows=names,
        columns=embedding_table.WAYS,
        first=(0, 1),
        row_title="token id",
        column_title="",
        what="distance",
        highest=None,
        height=16 * 23,
        alt="How far each row moves under three optimizers: "
        + "; ".join(_said(way, moves[way]) for way in embedding_table.WAYS),
    )
    cell_map.show(
        drawing,
        lambda row, way: row_distance(moves[embedding_table.WAYS[way]], row, embedding_table.WAYS[way]),
        key="c3_step_rows",
        default=(seen[0], 1),
    )
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
    return f"{way}, {moves.n_unseen_changed} of the rows not in the batch change"


def row_distance(update: embedding_table.RowUpdates, row: int, way: str) -> Formula:
    """How far one step moves one row: each number's step, then the length of all steps together."""
    table, gradient, step = (x[row].tolist() for x in (update.table, update.gradient, update.step))
    rate, decay = number(embedding_table.RATE), number(embedding_table.DECAY)
    first = signed(gradient[0])
    if way.endswith("SGD"):
        rule, terms = "learning rate × gradient", f"{rate} × {first}"
    else:
        size, epsilon = number(abs(gradient[0])), number(embedding_table.EPSILON)
        rule = "learning rate × (decay × weight + gradient ÷ (|gradient| + ε))"
        terms = f"{rate} × ({decay} × {signed(table[0])} + {first} ÷ ({size} + {epsilon}))"
    lines = [Line(f"update of component 1: {rule}", terms, number(step[0]))]
    if not any(gradient):
        lines.insert(0, Line("gradient", "the forward pass did not use this row", "0"))
    distance = float(update.far[row])
    squares = formulas.total([f"{signed(x)}^{{2}}" for x in step], "squares")
    lines.append(Line("distance", f"√({squares})", number(distance)))
    operands = Operands(
        f"All {len(step)} components of the row",
        [str(i + 1) for i in range(len(step))],
        [("before", table), ("gradient", gradient), ("update", step)],
    )
    return Formula(f"Row {row}, {way}", tuple(lines), distance, (operands,))
