"""Search over the whole book: headings first, then the words under them."""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

import streamlit as st

from explainers import library
from pages.kit import words

MOST = 6
MOST_EXPLAINERS = 3
EXPLAINERS = "explainers/"  # before the topic, where the words are an explainer's
_NO_HEADING = ("measured", "check", "deeper")  # parts whose words begin without a heading of their own
_LEFT_OUT = re.compile(r"\[\[[^\]]*\]\]|\$[^$\n]*\$")  # numbers put in later, and formulas
_MARK = re.compile(r"[*_`#$|>\\]|\[\[[^\]]*\]\]|\{[^}]*\}|:[a-z-]+\[|\]\([^)]*\)|\]")
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_ALIKE = 0.75  # from 0 to 1: how alike two spellings are, where one can be meant for the other


@dataclass(frozen=True, slots=True)
class Hit:
    """One section of the book: the file of words, the heading above it, and the text around the first hit."""

    file: str
    heading: str
    around: str
    score: float


@dataclass(frozen=True, slots=True)
class _Section:
    """A heading with the plain text below it, and the words of both, sorted, so that a search need not cut them."""

    heading: str
    body: str
    heading_words: tuple[str, ...]
    body_words: tuple[str, ...]


def find(query: str, files: Sequence[tuple[str, str]], most: int = MOST) -> list[Hit]:
    """The best sections for a query in files given as (name of the text, title of the page).

    A word counts by where it occurs: title 8, heading 5, text 1; the beginning of a word is enough. Every word of the
    query must occur somewhere.
    """
    wanted = [word.lower() for word in _WORD.findall(query)][:8]
    if not wanted:
        return []
    hits = []
    for name, title in files:
        title_words = _words(title)
        for section in _sections(name):
            places = ((title_words, 8.0), (section.heading_words, 5.0), (section.body_words, 1.0))
            scores = [sum(weight for known, weight in places if _begins(word, known)) for word in wanted]
            if all(scores):
                around = _around(wanted, section.body)
                hits.append(Hit(name, section.heading, around, sum(scores)))
    best = sorted(hits, key=lambda hit: -hit.score)
    seen: set[tuple[str, str]] = set()
    once = [
        hit for hit in best if (hit.file, hit.heading) not in seen and not seen.add((hit.file, hit.heading))
    ]
    return once[:most]


def find_explainers(query: str, most: int = MOST_EXPLAINERS) -> list[Hit]:
    """The explainers that answer a query, each with the best of its sections; `file` is the topic."""
    files = [(EXPLAINERS + explainer.topic, explainer.title) for explainer in library.explainers()]
    best: dict[str, Hit] = {}
    for hit in find(query, files, most=1000):
        best.setdefault(hit.file, hit)
    return [
        Hit(hit.file.removeprefix(EXPLAINERS), hit.heading, hit.around, hit.score)
        for hit in list(best.values())[:most]
    ]


def known_words(files: Iterable[tuple[str, str]]) -> set[str]:
    """Every word of these files, headings and titles among them."""
    known = {word for _, title in files for word in _words(title)}
    for name, _ in files:
        for section in _sections(name):
            known.update(section.heading_words, section.body_words)
    return known


def respelled(query: str, known: Collection[str]) -> str | None:
    """The query with each word that nothing known begins with replaced by the most similar one that is known.

    None where that changes nothing, or where a word is like none.

    >>> respelled("perplexty of a loss", {"perplexity", "of", "a", "loss"})
    'perplexity of a loss'
    """
    ordered, meant = sorted(known), []
    for word in (match.lower() for match in _WORD.findall(query)):
        near = [word] if _begins(word, ordered) else get_close_matches(word, ordered, n=1, cutoff=_ALIKE)
        if not near:
            return None
        meant += near
    text = " ".join(meant)
    return text if text != " ".join(_WORD.findall(query.lower())) else None


def has_all(query: str, text: str) -> bool:
    """Whether a text has for every word of a query one that begins so."""
    known = _words(text)
    return all(_begins(word.lower(), known) for word in _WORD.findall(query))


def _words(text: str) -> tuple[str, ...]:
    return tuple(sorted(set(_WORD.findall(text.lower()))))


def _begins(word: str, known: Sequence[str]) -> bool:
    """Whether one of these words, sorted, begins so; one of two letters must be meant whole, or "he" finds heads."""
    index = bisect_left(known, word)
    return index < len(known) and (known[index] == word if len(word) < 3 else known[index].startswith(word))


def _around(wanted: Iterable[str], body: str, width: int = 90) -> str:
    lower = body.lower()
    first = min((lower.find(word) for word in wanted if word in lower), default=0)
    start = max(0, first - width // 3)
    return ("…" if start else "") + body[start : start + width].strip() + "…"


def _sections(name: str) -> tuple[_Section, ...]:
    if name.startswith(EXPLAINERS):
        explainer = library.explainer(name.removeprefix(EXPLAINERS))
        return _split((("summary", explainer.summary), ("prose", explainer.prose)))
    return _split(tuple(words.sections_of(name).items()))


@lru_cache(maxsize=128)
def _split(sections: tuple[tuple[str, str], ...]) -> tuple[_Section, ...]:
    """Headings with the plain text below them; a section without a heading belongs to the one before.

    The title of a lab or a step is a section of its own, named `…_title`: it counts as a heading.
    """
    parts: list[tuple[str, list[str]]] = []
    heading = ""
    for name, body in sections:
        if name in _NO_HEADING:
            heading = ""
            parts.append((heading, []))
        for line in body.splitlines():
            if line.startswith("#") or name.endswith("_title"):
                heading = plain(line)
                parts.append((heading, []))
            elif line.strip():
                if not parts:
                    parts.append((heading, []))
                parts[-1][1].append(plain(line))
    bodies = ((heading, " ".join(lines)) for heading, lines in parts)
    return tuple(_Section(heading, body, _words(heading), _words(body)) for heading, body in bodies)


def plain(text: str) -> str:
    """Markdown as a reader sees it; where a number or a formula stands are dots."""
    return " ".join(_MARK.sub(" ", _LEFT_OUT.sub("…", text)).split())


def box() -> str:
    """The field in the sidebar; returns what is asked for."""
    return st.text_input(
        "Search the book", key="search_book", type="search", placeholder="mask, KV cache, RoPE …"
    )
