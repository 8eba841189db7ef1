"""The labs of the page `tokens`."""

from pages.labs.tokens import (
    diagram,
    example,
    finding,
    languages,
    longest_match,
    merges,
    quiz,
    same_text,
    streaming,
    trailing_space,
    vocabulary_size,
)

__all__ = [
    "diagram",
    "example",
    "finding",
    "languages",
    "longest_match",
    "merges",
    "quiz",
    "same_text",
    "streaming",
    "trailing_space",
    "vocabulary_size",
]
