"""The labs of the page `block`."""

from pages.labs.block import depth, diagram, example, finding, parts, quiz, residual_stream

__all__ = ["depth", "diagram", "example", "finding", "parts", "quiz", "residual_stream"]
