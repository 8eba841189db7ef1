"""The labs of the page `runs`."""

from pages.labs.runs import table

__all__ = ["table"]
