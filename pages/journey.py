"""A token's journey: one sentence through every tensor of the model, on a map that can be walked."""

from pages.kit import book, words
from pages.labs import journey

book.header(__file__)
text = words.load("journey")
journey.walk.walk()
book.footer(__file__)
