"""The labs of the page `inference`."""

from pages.labs.inference import (
    beam,
    cost,
    diagram,
    example,
    finding,
    quiz,
    race,
    sampling,
    speculative,
    two_lanes,
)

__all__ = [
    "beam",
    "cost",
    "diagram",
    "example",
    "finding",
    "quiz",
    "race",
    "sampling",
    "speculative",
    "two_lanes",
]
