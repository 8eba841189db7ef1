"""The labs of the page `attention`."""

from pages.labs.attention import cost, finding, heads, mask, quiz, scale

__all__ = ["cost", "finding", "heads", "mask", "quiz", "scale"]
