"""The labs of the page `journey`."""

from pages.labs.journey import attribution, changes, panel, position, prediction, walk

__all__ = [
    "attribution",
    "changes",
    "panel",
    "position",
    "prediction",
    "walk",
]
