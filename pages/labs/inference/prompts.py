"""Prompts of chapter 9 to click on, and how a token is shown in a text."""

from gptcore.stories.writer import PROMPTS

END = "<|endoftext|>"


def examples(count: int) -> tuple[str, ...]:
    """Beginnings from the story world, to click on."""
    return PROMPTS[:count]


def shown(token: str) -> str:
    """A token as it stands in a text: the end of a story is a mark."""
    return "\n¶ " if token == END else token
