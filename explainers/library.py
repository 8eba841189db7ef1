"""All explainers, in the order they are best read, and the ways to find one."""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from explainers.reading import Explainer, ExplainerError, read

FOLDER = Path(__file__).resolve().parent
_LINK = re.compile(r"\]\((?P<topic>[a-z0-9-]+)\.md\)")


def explainers() -> tuple[Explainer, ...]:
    """Every explainer, by its order."""
    found = (_read(path, path.stat().st_mtime_ns) for path in FOLDER.glob("*.md"))
    return tuple(sorted(found, key=lambda explainer: explainer.order))


@lru_cache(maxsize=128)
def _read(path: Path, mtime_ns: int) -> Explainer:
    # The time of change is part of the key, so that edited words show without a restart.
    return read(path)


def explainer(topic: str) -> Explainer:
    """The explainer at this address; raises ExplainerError where there is none."""
    for candidate in explainers():
        if candidate.topic == topic:
            return candidate
    raise ExplainerError(f"there is no explainer {topic!r}; choose one from the list")


def of_chapter(chapter: int) -> tuple[Explainer, ...]:
    """The explainers that go deeper than a chapter."""
    return tuple(candidate for candidate in explainers() if candidate.chapter == chapter)


def neighbours(topic: str) -> tuple[Explainer | None, Explainer | None]:
    """The explainers before and after this one."""
    every = explainers()
    place = every.index(explainer(topic))
    return every[place - 1] if place else None, every[place + 1] if place + 1 < len(every) else None


def linked(text: str) -> tuple[str, ...]:
    """The topics a text links to, each once, as they come."""
    return tuple(dict.fromkeys(match["topic"] for match in _LINK.finditer(text)))


def readdress(text: str, address: str) -> str:
    """The text with its links between files turned into links of the app: `address` and the topic."""
    return _LINK.sub(lambda match: f"]({address}{match['topic']})", text)


class Hit(NamedTuple):
    """An explainer that answers a search, and a sentence of it that holds a word searched for."""

    explainer: Explainer
    excerpt: str


def search(words: str, among: Iterable[Explainer] | None = None) -> list[Hit]:
    """The explainers that hold every word, those with the words in their title first."""
    terms = words.casefold().split()
    hits = []
    for candidate in explainers() if among is None else among:
        title, text = candidate.title.casefold(), f"{candidate.summary} {candidate.prose}".casefold()
        if all(term in title or term in text for term in terms):
            in_title = sum(term in title for term in terms)
            mentions = sum(text.count(term) for term in terms)
            hits.append((-in_title, -mentions, Hit(candidate, _excerpt(candidate, terms))))
    return [hit for *_, hit in sorted(hits, key=lambda found: found[:2])]


def _excerpt(candidate: Explainer, terms: list[str]) -> str:
    """The first sentence of running text with most of the words in it, without its marks."""
    running = " ".join(line for line in candidate.prose.splitlines() if not line.startswith(("#", "|", "$$")))
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", running).replace("**", "")
    sentences = [part for part in re.split(r"(?<=[.?:])\s+", plain) if part]
    return max(sentences, key=lambda sentence: sum(term in sentence.casefold() for term in terms), default="")
