"""The labs of the page `measured`."""

from pages.labs.measured import claims

__all__ = ["claims"]
