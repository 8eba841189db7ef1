"""The ledger: what the field says, measured on this machine."""

from pages.labs import measured
from pages.kit import book, words

book.header(__file__)
text = words.load("measured")
text.show("ledger")
measured.claims_table.machine_line()
measured.claims_table.claims_table()
measured.claims_table.chapter_cards()
book.footer(__file__)
