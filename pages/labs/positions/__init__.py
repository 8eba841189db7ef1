"""The labs of the page `positions`."""

from pages.labs.positions import drag, extrapolation, finding, order, pairs, quiz

__all__ = ["drag", "extrapolation", "finding", "order", "pairs", "quiz"]
