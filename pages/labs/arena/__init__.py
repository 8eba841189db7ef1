"""The labs of the page `arena`."""

from pages.labs.arena import match

__all__ = ["match"]
