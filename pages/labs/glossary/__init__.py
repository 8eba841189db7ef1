"""The labs of the page `glossary`."""

from pages.labs.glossary import diagram, example, faq, finding, formulas, game, provenance, quiz, terms

__all__ = ["diagram", "example", "faq", "finding", "formulas", "game", "provenance", "quiz", "terms"]
