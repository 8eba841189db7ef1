"""The labs of the page `attention`."""

from pages.labs.attention import cost, diagram, example, finding, heads, mask, quiz, scale

__all__ = ["cost", "diagram", "example", "finding", "heads", "mask", "quiz", "scale"]
