"""The labs of the page `overview`."""

from pages.labs.overview import finding, more, quiz

__all__ = ["finding", "more", "quiz"]
