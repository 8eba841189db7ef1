"""Diagrams of data on its way, with the shapes of the model now in use.

Boxes are given in reading order: an arrow to an earlier box leads back. Python decides which boxes are next to each
other; the browser fits them into the width it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.kit import dim_colors

_HTML = """<div class="flow" role="img"><svg aria-hidden="true"><defs>
<marker id="head" viewBox="0 0 8 8" refX="5" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path class="head" d="M0 0L8 4L0 8z"/></marker></defs><g></g></svg></div>"""
_HERE = Path(__file__).parent
_COMPONENT = st.components.v2.component(
    "glassbox_flowchart",
    html=_HTML,
    css=(_HERE / "diagram.css").read_text(encoding="utf-8"),
    js=(_HERE / "diagram.js").read_text(encoding="utf-8"),
)


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


def ranks(nodes: Sequence[Node], edges: Sequence[Edge]) -> dict[str, int]:
    """How many arrows lead to each box at most, arrows back left out.

    A side input, which nothing before it leads to, stands right before the box that it goes into. Raises ValueError
    for an arrow to or from a missing box.
    """
    order = {node.name: index for index, node in enumerate(nodes)}
    for edge in edges:
        if missing := {edge.source, edge.target} - set(order):
            raise ValueError(f"an arrow connects {', '.join(sorted(missing))}, which is not a box")
    forward = [edge for edge in edges if order[edge.source] < order[edge.target]]
    rank: dict[str, int] = {}
    side: list[str] = []
    for name in order:
        before = [edge.source for edge in forward if edge.target == name]
        if rank and all(source in side for source in before):
            side.append(name)
        rank[name] = 1 + max((rank[source] for source in before), default=-1)
    for name in reversed(side):
        rank[name] = min((rank[edge.target] for edge in forward if edge.source == name), default=1) - 1
    return rank


def lanes(nodes: Sequence[Node], edges: Sequence[Edge]) -> dict[str, tuple[int, int]]:
    """For each box how many boxes of its rank stand before it, and how many there are in all."""
    rank = ranks(nodes, edges)
    position: dict[str, tuple[int, int]] = {}
    for level in sorted(set(rank.values())):
        row = [node.name for node in nodes if rank[node.name] == level]
        position |= {name: (index, len(row)) for index, name in enumerate(row)}
    return position


def heading() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Two columns above a diagram: what it shows, and the control that changes it."""
    about, control = st.columns([2, 1], gap="large")
    return about, control


def flowchart(nodes: Sequence[Node], edges: Sequence[Edge], *, alt: str) -> None:
    """Draw a flow chart, and below it what the letters in it mean. Raises ValueError where `ranks` does."""
    rank, lane = ranks(nodes, edges), lanes(nodes, edges)
    boxes = [
        {
            "name": node.name,
            "label": node.label,
            "kind": node.kind,
            "sizes": [
                [name, f"{size:,}", dim_colors.color(name)] for name, size in (node.sizes or {}).items()
            ],
            "ink": dim_colors.INK,
            "rank": rank[node.name],
            "lane": lane[node.name][0],
            "lanes": lane[node.name][1],
        }
        for node in nodes
    ]
    arrows = [{"source": edge.source, "target": edge.target, "label": edge.label} for edge in edges]
    _COMPONENT(key="flow", data={"nodes": boxes, "edges": arrows, "alt": alt})
    # A width such as H·D is two letters.
    letters = dict.fromkeys(one for node in nodes for name in node.sizes or () for one in name.split("·"))
    st.markdown(
        "  ".join(f"{dim_colors.chip(letter)} {dim_colors.NAMES[letter]}" for letter in letters)
        + ". Thick frames: learned parameters. Thin frames: activations."
    )
