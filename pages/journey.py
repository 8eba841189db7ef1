"""A token's journey: one sentence through every tensor of the model, on a map that can be walked."""

from pages.labs import journey
from pages.kit import book, words

book.header(__file__)
text = words.load("journey")
journey.walk.walk()
book.footer(__file__)
