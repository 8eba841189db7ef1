"""The labs of the page `overview`."""

from pages.labs.overview import (
    bet,
    chat,
    continuations,
    diagram,
    example,
    finding,
    moments,
    out_of_domain,
    over_training,
    quiz,
    train,
)

__all__ = [
    "bet",
    "chat",
    "continuations",
    "diagram",
    "example",
    "finding",
    "moments",
    "out_of_domain",
    "over_training",
    "quiz",
    "train",
]
