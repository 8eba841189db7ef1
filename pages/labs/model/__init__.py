"""The labs of the page `model`."""

from pages.labs.model import finding, logit_lens, quiz, scaling, shape

__all__ = [
    "finding",
    "logit_lens",
    "quiz",
    "scaling",
    "shape",
]
