"""What the front page computes: the text on view where it is not the first one, and the run that is trained here."""

from pages.labs.home import flows, training

__all__ = ["flows", "training"]
