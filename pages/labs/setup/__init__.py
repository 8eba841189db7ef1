"""The labs of the page `setup`."""

from pages.labs.setup import finding, quiz, shapes, timing

__all__ = ["finding", "quiz", "shapes", "timing"]
