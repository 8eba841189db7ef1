"""Chapter 3: the finding at its top, the worked example, and the table in front of the model and behind it."""

import streamlit as st

from pages.kit import (
    controls,
    diagram,
    dim_colors,
    figures,
    grids,
    initialization,
    latex,
    plots,
    prompt,
    session,
    words,
)
from pages.kit.controls import Dial
from pages.kit.pronoun_story import storyteller
from pages.kit.worked_example import Steps
from pages.labs.embeddings import cached

WORDS = ("king", "queen", "river", "the")
NAMES = tuple(f"{place} {word}" for place, word in enumerate(WORDS))
PAIRS = tuple(f"{one}, {other}" for i, one in enumerate(WORDS) for other in WORDS[i + 1 :])
TABLE = ((0.9, 0.4, -0.2), (0.8, 0.5, 0.3), (-0.6, 0.7, 0.1), (0.1, -0.2, 0.1))
ABOVE = ((0.2, -0.1, 0.0), (0.1, 0.3, -0.2), (-0.4, 0.2, 0.1))
TEXTS = ("2 0 2", "0 1 2", "2 2 2", "3 1 3")
READ = "3 7 7 1 4"
MOST_POINTS = 400  # of a cloud that are drawn


def clouds(table, together: list[int], tokenizer, revision: str):
    """A table laid flat: the tokens in use, and those that lie on one spot."""
    from gptcore.interpret import embedding_table

    points = embedding_table.flat_map(table).points.tolist()
    apart = [place for place in range(len(points)) if place not in set(together)]
    every = max(1, len(apart) // MOST_POINTS)

    def named(places) -> list[tuple[float, float, str]]:
        return [(*points[place], tokenizer.token_text(place)) for place in places]

    few = max(1, len(together) // MOST_POINTS)
    picture = plots.scatter(
        {"in use": named(apart[::every]), "never used": named(together[::few])},
        x_title="widest direction",
        y_title="second widest",
        height=290,
        named=False,
        revision=revision,
    )
    picture.figure.update_traces(marker={"size": 5, "opacity": 0.65})
    picture.figure.data[1].marker.size = 8
    return picture


def finding() -> None:
    """The rows of tokens that never occur: at birth, and after training."""
    text = words.load("03_embeddings")
    model = storyteller()
    born = initialization.initial_model(model)
    together = cached.on_one_spot(model)
    seen = cached.seen_in_stories(model)
    table = model.model.embedding.weight.detach()
    text.show(
        "finding",
        n=len(together),
        v=len(table),
        seen=len(seen.intersection(together)),
        one=_few(together, model.tokenizer, seen),
    )
    left, right = st.columns(2, gap="medium")
    if born is not None:
        with left:
            st.markdown(f"**{text.read('finding_born')}**")
            picture = clouds(born.embedding.weight.detach(), together, model.tokenizer, "born")
            st.plotly_chart(picture.figure, key="c3_finding_born", config=figures.CONFIG, alt=picture.alt)
    with right:
        st.markdown(f"**{text.read('finding_now')}**")
        picture = clouds(table, together, model.tokenizer, "now")
        st.plotly_chart(picture.figure, key="c3_finding_now", config=figures.CONFIG, alt=picture.alt)


def _few(together: list[int], tokenizer, seen) -> str:
    """Three of the tokens, those that begin with a space and letters first."""
    from pages.labs.tokens.finding import code

    unseen = [place for place in together if place not in seen]
    readable = [place for place in unseen if tokenizer.token_text(place).strip().isalpha()]
    longest = sorted(readable or unseen, key=lambda place: -len(tokenizer.token_text(place)))
    return ", ".join(code(tokenizer.token_text(place)) for place in longest[:3])


@st.fragment
def worked_example() -> None:
    """A table of four rows: look up, compare, and what comes back."""
    import torch

    from gptcore.interpret import embedding_table

    text = words.load("03_embeddings")
    text.show("example")
    left, right = st.columns(2, gap="large")
    with left:
        table = prompt.matrix_input(
            "c3_table", TABLE, rows=NAMES, columns=("1", "2", "3"), label=text.read("example_table")
        )
        read = controls.choice(text.read("example_ids"), "c3_ids", TEXTS)
    with right:
        above = prompt.matrix_input(
            "c3_above",
            ABOVE,
            rows=("place 1", "place 2", "place 3"),
            columns=("1", "2", "3"),
            label=text.read("example_above"),
        )
        pair = controls.listed(text.read("example_pair"), "c3_pair", PAIRS)
        first, second = (WORDS.index(word) for word in pair.split(", "))
    ids = [int(one) for one in read.split()]
    e = torch.tensor(table)
    found = embedding_table.cosines(e, e).tolist()
    back = embedding_table.gradient(ids, torch.tensor(above), len(table)).tolist()
    open_ = Steps(5)
    if open_(text.read("example_look_title")):
        text.show("example_look", ids=read)
        st.latex(rf"E = {latex.matrix(table)} \qquad x = {latex.matrix([table[one] for one in ids])}")
    if open_(text.read("example_onehot_title")):
        text.show("example_onehot", id=ids[0])
        hot = [[float(place == ids[0]) for place in range(len(table))]]
        st.latex(rf"{latex.matrix(hot)} \cdot {latex.matrix(table)} = {latex.matrix([table[ids[0]]])}")
    a, b = table[first], table[second]
    lengths = [sum(value * value for value in row) ** 0.5 for row in (a, b)]
    if open_(text.read("example_dot_title")):
        text.show("example_dot", a=WORDS[first], b=WORDS[second])
        st.latex(rf"a \cdot b = {latex.dot(a, b)}")
        for name, row, length in zip("ab", (a, b), lengths):
            terms = " + ".join(f"{latex.signed(value)}^2" for value in row)
            st.latex(rf"|{name}| = \sqrt{{{terms}}} = {latex.number(length)}")
    if open_(text.read("example_cosine_title")):
        dot = sum(x * y for x, y in zip(a, b))
        text.show("example_cosine")
        if min(lengths) > 0:
            below = rf"{latex.number(lengths[0])} \cdot {latex.number(lengths[1])}"
            st.latex(
                rf"\cos = \frac{{{latex.number(dot)}}}{{{below}}} = {latex.number(found[first][second])}"
            )
        st.latex(rf"\cos(E, E) = {latex.matrix(found, '.3f', marked={(first, second)})}")
    if open_(text.read("example_back_title")):
        places = [place + 1 for place, one in enumerate(ids) if one == ids[0]]
        text.show("example_back", id=ids[0], places=" and ".join(map(str, places)))
        terms = " + ".join(latex.matrix([above[place - 1]]) for place in places)
        st.latex(rf"{terms} = {latex.matrix([back[ids[0]]])}")
        st.latex(rf"\frac{{\partial L}}{{\partial E}} = {latex.matrix(back)}")


@st.fragment
def one_step() -> None:
    """Which rows one step of learning moves, three ways."""
    from gptcore.interpret import embedding_table

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
        moves = {way: embedding_table.one_step(ids, way) for way in embedding_table.WAYS}
    except ValueError as error:
        st.info(f"{error}.", icon=":material/info:")
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
    st.plotly_chart(picture.figure, key="c3_step_rows", config=figures.CONFIG, alt=picture.alt)
    untied, tied, decayed = (moves[way].n_unseen_moved for way in embedding_table.WAYS)
    text.show(
        "example_step_says",
        read=len(seen),
        others=embedding_table.SMALL.vocab_size - len(seen),
        untied=untied,
        tied=tied,
        decayed=decayed,
    )


def _said(way: str, moves) -> str:
    return f"{way}, {moves.n_unseen_moved} of the rows that were not read"


@st.fragment
def flow() -> None:
    """Where the table stands: in front of the blocks and, if it is tied, behind them."""
    text = words.load("03_embeddings")
    config = session.model_in_use().model.config
    tokens = controls.whole(
        "Tokens T", "c3_flow_t", Dial("", 1, config.context_length, 1, "The length of the text."), 12
    )
    sizes = dim_colors.sizes_of(config)
    t, c, v = tokens, sizes["C"], sizes["V"]
    node, edge = diagram.Node, diagram.Edge
    tied = config.tie_embeddings
    text.show("diagram_tied" if tied else "diagram_untied", v=v, c=c, weights=v * c)
    nodes = [
        node("ids", "ids", sizes={"T": t}),
        node("table", "embedding", "weight", {"V": v, "C": c}),
        node("x", "one row for each token", sizes={"T": t, "C": c}),
        node("blocks", f"{config.n_layers} blocks", "step"),
        node("h", "final vectors, normed", sizes={"T": t, "C": c}),
        node("dot", "dot product with every row", "step"),
        node("logits", "logits: a score for each token", sizes={"T": t, "V": v}),
    ]
    edges = [
        edge("ids", "table", "look up"),
        edge("table", "x"),
        edge("x", "blocks"),
        edge("blocks", "h"),
        edge("h", "dot"),
        edge("dot", "logits"),
    ]
    if tied:
        edges.append(edge("table", "dot", "the same table"))
    else:
        nodes.append(node("output", "output, a table of its own", "weight", {"V": v, "C": c}))
        edges.append(edge("output", "dot"))
    diagram.flowchart(nodes, edges, alt="Where the table of embeddings stands in the model")
