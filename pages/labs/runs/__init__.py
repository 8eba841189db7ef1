"""The labs of the page `runs`."""

from pages.labs.runs import my_work, one_run, run_list

__all__ = ["my_work", "one_run", "run_list"]
