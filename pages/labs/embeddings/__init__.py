"""The labs of the page `embeddings`."""

from pages.labs.embeddings import finding, map, quiz, rows

__all__ = ["finding", "map", "quiz", "rows"]
