"""The labs of the page `tokens`."""

from pages.labs.tokens import compare, finding, quiz, train

__all__ = ["compare", "finding", "quiz", "train"]
