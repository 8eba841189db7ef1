"""Chapter 3: the worked example, an embedding matrix of four rows."""

import streamlit as st
import torch

from gptcore.interpret import embedding_table
from pages.kit import controls, latex, prompt, words
from pages.kit.worked_example import Steps

WORDS = ("king", "queen", "river", "the")
NAMES = tuple(f"{token} {word}" for token, word in enumerate(WORDS))
PAIRS = tuple(f"{first}, {other}" for i, first in enumerate(WORDS) for other in WORDS[i + 1 :])
TABLE = ((0.9, 0.4, -0.2), (0.8, 0.5, 0.3), (-0.6, 0.7, 0.1), (0.1, -0.2, 0.1))
UPSTREAM_GRADIENT = ((0.2, -0.1, 0.0), (0.1, 0.3, -0.2), (-0.4, 0.2, 0.1))
TEXTS = ("2 0 2", "0 1 2", "2 2 2", "3 1 3")


@st.fragment
def worked_example() -> None:
    """An embedding matrix of four rows: lookup, cosine similarity and gradient."""
    text = words.load("03_embeddings")
    text.show("example")
    left, right = st.columns(2, gap="large")
    with left:
        table = prompt.matrix_input(
            "c3_table", TABLE, rows=NAMES, columns=("1", "2", "3"), label=text.read("example_table")
        )
        chosen_ids = controls.choice(text.read("example_ids"), "c3_ids", TEXTS)
    with right:
        upstream_gradient = prompt.matrix_input(
            "c3_above",
            UPSTREAM_GRADIENT,
            rows=("position 1", "position 2", "position 3"),
            columns=("1", "2", "3"),
            label=text.read("example_above"),
        )
        pair = controls.dropdown(text.read("example_pair"), "c3_pair", PAIRS)
        first, second = (WORDS.index(word) for word in pair.split(", "))
    ids = [int(token) for token in chosen_ids.split()]
    e = torch.tensor(table)
    cosines = embedding_table.cosines(e, e).tolist()
    gradient = embedding_table.embedding_gradient(ids, torch.tensor(upstream_gradient), len(table)).tolist()
    with Steps(5, key="c3_steps") as steps:
        if steps(text.read("example_look_title")):
            text.show("example_look", ids=chosen_ids)
            st.latex(rf"E = {latex.matrix(table)} \qquad x = {latex.matrix([table[token] for token in ids])}")
        if steps(text.read("example_onehot_title")):
            text.show("example_onehot", id=ids[0])
            one_hot = [[float(position == ids[0]) for position in range(len(table))]]
            st.latex(
                rf"{latex.matrix(one_hot)} \cdot {latex.matrix(table)} = {latex.matrix([table[ids[0]]])}"
            )
        a, b = table[first], table[second]
        lengths = [sum(value * value for value in row) ** 0.5 for row in (a, b)]
        if steps(text.read("example_dot_title")):
            text.show("example_dot", a=WORDS[first], b=WORDS[second])
            st.latex(rf"a \cdot b = {latex.dot(a, b)}")
            for name, row, length in zip("ab", (a, b), lengths):
                terms = " + ".join(f"{latex.signed(value)}^2" for value in row)
                st.latex(rf"|{name}| = \sqrt{{{terms}}} = {latex.number(length)}")
        if steps(text.read("example_cosine_title")):
            dot = sum(x * y for x, y in zip(a, b))
            text.show("example_cosine")
            if min(lengths) > 0:
                denominator = rf"{latex.number(lengths[0])} \cdot {latex.number(lengths[1])}"
                st.latex(
                    rf"\cos = \frac{{{latex.number(dot)}}}{{{denominator}}} = {latex.number(cosines[first][second])}"
                )
            st.latex(rf"\cos(E, E) = {latex.matrix(cosines, '.3f', marked={(first, second)})}")
        if steps(text.read("example_back_title")):
            positions = [position + 1 for position, token in enumerate(ids) if token == ids[0]]
            text.show("example_back", id=ids[0], places=" and ".join(map(str, positions)))
            terms = " + ".join(latex.matrix([upstream_gradient[position - 1]]) for position in positions)
            st.latex(rf"{terms} = {latex.matrix([gradient[ids[0]]])}")
            st.latex(rf"\frac{{\partial L}}{{\partial E}} = {latex.matrix(gradient)}")
