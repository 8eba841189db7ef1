"""The ledger: what the field says, measured on this machine."""

from pages.kit import book, words
from pages.labs import measured

book.header(__file__)
text = words.load("measured")
text.show("ledger")
measured.claims.machine_line()
measured.claims.claims_table()
measured.claims.chapter_cards()
book.footer(__file__)
