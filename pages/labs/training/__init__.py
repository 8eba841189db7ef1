"""The labs of the page `training`."""

from pages.labs.training import example, faults, history, quiz, settings, train

__all__ = ["example", "faults", "history", "quiz", "settings", "train"]
