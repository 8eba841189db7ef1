"""The labs of the page `runs`."""

from pages.labs.runs import comparison, my_work, one_run, run_list

__all__ = ["comparison", "my_work", "one_run", "run_list"]
