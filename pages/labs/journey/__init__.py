"""The labs of the page `journey`."""

from pages.labs.journey import walk

__all__ = ["walk"]
