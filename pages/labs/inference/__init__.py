"""The labs of the page `inference`."""

from pages.labs.inference import (
    beam,
    cost,
    diagram,
    example,
    finding,
    prompts,
    quiz,
    race,
    sampling,
    speculative,
    ticks,
    two_lanes,
)

__all__ = [
    "beam",
    "cost",
    "diagram",
    "example",
    "finding",
    "prompts",
    "quiz",
    "race",
    "sampling",
    "speculative",
    "ticks",
    "two_lanes",
]
