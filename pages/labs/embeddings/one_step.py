"""Chapter 3: which rows of the embedding matrix one training step changes."""

import streamlit as st

from gptcore.interpret import embedding_table
from pages.kit import cell_map, escape, formulas, prompt, words
from pages.kit.cell_map import CellMap
from pages.kit.formulas import Formula, Line, Operands, number, signed

DEFAULT_IDS = "3 7 7 1 4"


@st.fragment
def one_step() -> None:
    """The rows that one training step changes, in three setups."""
    text = words.load("03_embeddings")
    st.subheader(text.read("example_step_title"), anchor="step")
    text.show(
        "example_step",
        v=embedding_table.SMALL.vocab_size,
        rate=embedding_table.RATE,
        decay=embedding_table.DECAY,
    )
    typed = prompt.text_input(text.read("example_step_ids"), "c3_step_ids", DEFAULT_IDS)
    ids = [int(item) for item in typed.replace(",", " ").split() if item.lstrip("-").isdigit()][:32]
    try:
        updates = {way: embedding_table.single_update(ids, way) for way in embedding_table.WAYS}
    except ValueError as error:
        st.info(escape.sentence(f"{error}."), icon=":material/info:")
        return
    batch_ids = updates[embedding_table.WAYS[0]].seen
    names = [
        f"{row}{' in batch' if row in batch_ids else ''}" for row in range(embedding_table.SMALL.vocab_size)
    ]
    distances = list(zip(*(updates[way].far.tolist() for way in embedding_table.WAYS)))
    drawing = CellMap(
        values=[[distance**0.5 for distance in row] for row in distances],
        texts=[[f"{distance:.2g}" if distance else "0" for distance in row] for row in distances],
        rows=names,
        columns=embedding_table.WAYS,
        first=(0, 1),
        row_title="token id",
        column_title="",
        what="distance",
        highest=None,
        height=16 * 23,
        alt="How far each row moves under three optimizers: "
        + "; ".join(_summary(way, updates[way]) for way in embedding_table.WAYS),
    )
    cell_map.show(
        drawing,
        lambda row, way: row_distance(updates[embedding_table.WAYS[way]], row, embedding_table.WAYS[way]),
        key="c3_step_rows",
        default=(batch_ids[0], 1),
    )
    untied, tied, decayed = (updates[way].n_unseen_changed for way in embedding_table.WAYS)
    text.show(
        "example_step_says",
        read=len(batch_ids),
        others=embedding_table.SMALL.vocab_size - len(batch_ids),
        untied=untied,
        tied=tied,
        decayed=decayed,
    )


def _summary(way: str, updates) -> str:
    return f"{way}, {updates.n_unseen_changed} of the rows not in the batch change"


def row_distance(update: embedding_table.RowUpdates, row: int, way: str) -> Formula:
    """The distance one step moves one row: the update of each component, then the norm of all updates."""
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
