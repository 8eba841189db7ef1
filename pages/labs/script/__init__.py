"""The labs of the page `script`."""

from pages.labs.script import finding, models, quiz

__all__ = ["finding", "models", "quiz"]
