"""All training runs: their results, one in full (?run=…), several compared, export and import."""

from pages.labs import runs
from pages.kit import book, run_comparison, words

book.header(__file__)
text = words.load("runs")
text.show("about")
runs.run_list.run_list()
runs.one_run.one_run()
run_comparison.compare_runs()
text.show("work")
runs.my_work.my_work()
book.footer(__file__)
