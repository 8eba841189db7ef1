"""The labs of the page `measured`."""

from pages.labs.measured import claims_table

__all__ = ["claims_table"]
