"""Diagrams of data on its way, with the shapes of the model now in use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from pages.kit import dim_colors

# Rows closer together than Mermaid puts them: a diagram should be seen at once.
_LAYOUT = '%%{init: {"flowchart": {"rankSpacing": 22, "nodeSpacing": 30}}}%%'
# Weights have a heavy frame, values a thin one; steps that only compute are round.
_CLASSES = """
classDef value stroke-width:1px
classDef weight stroke-width:3px
classDef step stroke-width:1px
"""


@dataclass(frozen=True, slots=True)
class Node:
    """One box: `value` a tensor, `weight` a matrix that was learned, `step` an operation."""

    name: str
    label: str
    kind: str = "value"
    sizes: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow, with a word on it if it needs one."""

    source: str
    target: str
    label: str = ""


def mermaid(nodes: Sequence[Node], edges: Sequence[Edge], *, direction: str = "TB") -> str:
    """The text of a flow chart; labels are quoted, so that brackets in them do no harm."""
    lines = [_LAYOUT, f"flowchart {direction}"]
    for node in nodes:
        text = _quoted(node.label) + (f"<br/>{dim_colors.plain_shape(**node.sizes)}" if node.sizes else "")
        left, right = {"step": ("([", "])")}.get(node.kind, ("[", "]"))
        lines.append(f'{node.name}{left}"{text}"{right}:::{node.kind}')
    known = {node.name for node in nodes}
    for edge in edges:
        if missing := {edge.source, edge.target} - known:
            raise ValueError(f"an arrow leads to or from {', '.join(sorted(missing))}, which is no box")
        arrow = f'-->|"{_quoted(edge.label)}"|' if edge.label else "-->"
        lines.append(f"{edge.source} {arrow} {edge.target}")
    return "\n".join(lines) + _CLASSES


def _quoted(text: str) -> str:
    return text.replace('"', "'")


def flowchart(nodes: Sequence[Node], edges: Sequence[Edge], *, alt: str, direction: str = "TB") -> None:
    """Draw a flow chart, and below it what the letters in it mean."""
    st.mermaid_chart(mermaid(nodes, edges, direction=direction), width="content", alt=alt)
    # A width such as H·D is two letters.
    letters = dict.fromkeys(one for node in nodes for name in node.sizes or () for one in name.split("·"))
    st.markdown(
        "  ".join(f"{dim_colors.chip(letter)} {dim_colors.NAMES[letter]}" for letter in letters)
        + ". Heavy frames are learned weights, thin ones are values computed from this text."
    )
