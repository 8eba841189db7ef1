"""The labs of the page `inference`."""

from pages.labs.inference import beam, cost, finding, quiz, race, speculative

__all__ = ["beam", "cost", "finding", "quiz", "race", "speculative"]
