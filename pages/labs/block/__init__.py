"""The labs of the page `block`."""

from pages.labs.block import depth, finding, parts, quiz, residual_stream

__all__ = [
    "depth",
    "finding",
    "parts",
    "quiz",
    "residual_stream",
]
