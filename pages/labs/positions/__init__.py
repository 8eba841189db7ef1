"""The labs of the page `positions`."""

from pages.labs.positions import (
    diagram,
    example,
    extrapolation,
    finding,
    frequencies,
    head_offsets,
    order,
    pairings,
    quiz,
    relative_score,
)

__all__ = [
    "diagram",
    "example",
    "extrapolation",
    "finding",
    "frequencies",
    "head_offsets",
    "order",
    "pairings",
    "quiz",
    "relative_score",
]
