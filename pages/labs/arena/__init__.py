"""The labs of the page `arena`."""

from pages.labs.arena import entries, match, records, results, terms

__all__ = [
    "entries",
    "match",
    "records",
    "results",
    "terms",
]
