"""The labs of the page `script`."""

from pages.labs.script import diagram, example, export, finding, misread_config, quiz, same_seed, tuning

__all__ = ["diagram", "example", "export", "finding", "misread_config", "quiz", "same_seed", "tuning"]
