"""The labs of the page `setup`."""

from pages.labs.setup import (
    descent,
    diagram,
    example,
    few_points,
    finding,
    learning_rate,
    machine,
    quiz,
    shapes,
    timing,
)

__all__ = [
    "descent",
    "diagram",
    "example",
    "few_points",
    "finding",
    "learning_rate",
    "machine",
    "quiz",
    "shapes",
    "timing",
]
