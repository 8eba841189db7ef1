"""Search over the whole book: headings first, then the words under them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import streamlit as st

from pages.kit import words

MOST = 6
_NO_HEADING = ("measured", "check", "deeper")  # parts whose words begin without a heading of their own
_LEFT_OUT = re.compile(r"\[\[[^\]]*\]\]|\$[^$\n]*\$")  # numbers put in later, and formulas
_MARK = re.compile(r"[*_`#$|>\\]|\[\[[^\]]*\]\]|\{[^}]*\}|:[a-z-]+\[|\]\([^)]*\)|\]")
_WORD = re.compile(r"[^\W_]+", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Found:
    """One place of the book: the file of words, the heading above it, and the text around the first hit."""

    file: str
    heading: str
    around: str
    score: float


def find(query: str, files: Sequence[tuple[str, str]], most: int = MOST) -> list[Found]:
    """The best places for a query in files given as (name of the words, title of the page).

    A word counts by where it stands: title 8, heading 5, text 1; the beginning of a word is enough. Every word
    of the query must occur somewhere.
    """
    asked = [word.lower() for word in _WORD.findall(query)][:8]
    if not asked:
        return []
    found = []
    for name, title in files:
        for heading, body in _sections(name):
            places = ((title, 8.0), (heading, 5.0), (body, 1.0))
            scores = [sum(weight for text, weight in places if _begins(word, text)) for word in asked]
            if all(scores):
                found.append(Found(name, heading, _around(asked, body), sum(scores)))
    best = sorted(found, key=lambda one: -one.score)
    seen: set[tuple[str, str]] = set()
    once = [
        one for one in best if (one.file, one.heading) not in seen and not seen.add((one.file, one.heading))
    ]
    return once[:most]


def _begins(word: str, text: str) -> bool:
    """Whether a word of the text begins so; one of two letters must be meant whole, or "he" would find heads."""
    found = _WORD.findall(text.lower())
    return word in found if len(word) < 3 else any(other.startswith(word) for other in found)


def _around(asked: Iterable[str], body: str, width: int = 90) -> str:
    lower = body.lower()
    place = min((lower.find(word) for word in asked if word in lower), default=0)
    start = max(0, place - width // 3)
    return ("…" if start else "") + body[start : start + width].strip() + "…"


def _sections(name: str) -> list[tuple[str, str]]:
    return _split(tuple(words.sections_of(name).items()))


@lru_cache(maxsize=64)
def _split(sections: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Headings with the plain text below them; a section without a heading belongs to the one before.

    The title of a lab or a step is a section of its own, named `…_title`: it counts as a heading.
    """
    found: list[tuple[str, str]] = []
    heading = ""
    for name, body in sections:
        if name in _NO_HEADING:
            heading = ""
            found.append((heading, ""))
        for line in body.splitlines():
            if line.startswith("#") or name.endswith("_title"):
                heading = plain(line)
                found.append((heading, ""))
            elif line.strip():
                if not found:
                    found.append((heading, ""))
                found[-1] = (found[-1][0], f"{found[-1][1]} {plain(line)}".strip())
    return found


def plain(text: str) -> str:
    """Markdown as a reader sees it; where a number or a formula stands are dots."""
    return " ".join(_MARK.sub(" ", _LEFT_OUT.sub("…", text)).split())


def box() -> str:
    """The field in the sidebar; returns what is asked for."""
    return st.text_input(
        "Search the book", key="search_book", type="search", placeholder="mask, cache, she or he …"
    )
