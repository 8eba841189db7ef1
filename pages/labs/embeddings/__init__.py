"""The labs of the page `embeddings`."""

from pages.labs.embeddings import (
    analogies,
    diagram,
    example,
    finding,
    neighbors,
    one_step,
    quiz,
    rotation,
    row_norms,
    unused_rows,
    word_map,
)

__all__ = [
    "analogies",
    "diagram",
    "example",
    "finding",
    "neighbors",
    "one_step",
    "quiz",
    "rotation",
    "row_norms",
    "unused_rows",
    "word_map",
]
