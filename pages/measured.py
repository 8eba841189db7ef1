"""The ledger: what the field says, measured on this machine."""

from pages.kit import book, words
from pages.labs import measured

book.header(__file__)
text = words.load("measured")
text.show("ledger")
measured.claims.machine()
measured.claims.every_claim()
measured.claims.cards()
book.footer(__file__)
