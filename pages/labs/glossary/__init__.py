"""The labs of the page `glossary`."""

from pages.labs.glossary import faq, finding, game, pictures, pictures_work, quiz, terms

__all__ = ["faq", "finding", "game", "pictures", "pictures_work", "quiz", "terms"]
