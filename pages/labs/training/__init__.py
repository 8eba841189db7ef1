"""The labs of the page `training`."""

from pages.labs.training import (
    batch_size,
    diagnosis_game,
    diagram,
    example,
    faults,
    finding,
    precision,
    quiz,
    rate_finder,
    time_machine,
    train,
)

__all__ = [
    "batch_size",
    "diagnosis_game",
    "diagram",
    "example",
    "faults",
    "finding",
    "precision",
    "quiz",
    "rate_finder",
    "time_machine",
    "train",
]
