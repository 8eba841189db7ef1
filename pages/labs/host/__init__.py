"""The labs of the page `host`."""

from pages.labs.host import backup, gate, manage_runs, status

__all__ = ["backup", "gate", "manage_runs", "status"]
