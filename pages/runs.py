"""All training runs: what became of each, one of them in full (?run=…), several side by side, all in one zip."""

from pages.kit import book, words
from pages.labs import runs

book.header(__file__)
text = words.load("runs")
text.show("about")
runs.table.every_run()
runs.table.one_run()
runs.table.compare()
text.show("work")
runs.table.my_work()
book.footer(__file__)
