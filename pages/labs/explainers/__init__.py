"""The labs of the page `explainers`."""

from pages.labs.explainers import topics

__all__ = ["topics"]
