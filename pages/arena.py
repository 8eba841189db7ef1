"""The arena: two architectures made equal, trained on the same batches, judged at their best rates."""

from pages.labs import arena
from pages.kit import book, words

book.header(__file__)
text = words.load("arena")
text.show("about")
arena.match.the_match()
arena.records.judging_rule()
arena.records.past_matches()
text.show("own_part")
book.footer(__file__)
