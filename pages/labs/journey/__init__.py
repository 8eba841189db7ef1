"""The labs of the page `journey`."""

from pages.labs.journey import attribution, changes, export, panel, position, prediction, walk

__all__ = [
    "attribution",
    "changes",
    "export",
    "panel",
    "position",
    "prediction",
    "walk",
]
