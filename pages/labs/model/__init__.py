"""The labs of the page `model`."""

from pages.labs.model import diagram, example, finding, logit_lens, quiz, scaling, shape

__all__ = ["diagram", "example", "finding", "logit_lens", "quiz", "scaling", "shape"]
