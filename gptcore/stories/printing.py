"""Sentences as tokens and as they are printed: spacing, capitals, quotes, and *an* before a vowel."""

import re

from gptcore.stories.lexicon import GENDER

_TIGHT = ((" ,", ","), (" .", "."), (" ?", "?"), (" 's", "'s"), ("“ ", '"'), (" ”", '"'))
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")
_TOKEN = re.compile(r"'s\b|[A-Za-z]+|[^\sA-Za-z]")


def join_tokens(tokens: list[str]) -> str:
    """Tokens with spaces between words and none around marks and inside quotes."""
    text = " ".join(tokens)
    for spaced, tight in _TIGHT:
        text = text.replace(spaced, tight)
    return text


def print_tokens(tokens: list[str]) -> str:
    """The tokens of one sentence as it is printed: spacing, capitals, and *an* before a vowel."""
    if "“" in tokens:
        opened = ["", *tokens[:-1]]
        tokens = [
            t[:1].upper() + t[1:] if before == "“" else t for before, t in zip(opened, tokens, strict=True)
        ]
    text = join_tokens(tokens)
    first = 1 if text.startswith('"') else 0
    return _ARTICLE.sub(r"\1n ", text[: first + 1].upper() + text[first + 1 :])


def read_tokens(text: str) -> list[str]:
    """The tokens of a printed sentence as the grammar has them: small letters, *a* for *an*, paired quotes."""
    tokens, inside, first = [], False, True
    for token in _TOKEN.findall(text):
        if token == '"':
            token, inside = ("”", False) if inside else ("“", True)
        elif first and token not in GENDER and token != "I":
            token = token[:1].lower() + token[1:]
        first = token == "“"
        tokens.append("a" if token == "an" else token)
    return tokens
