"""The words of a page, kept in Markdown apart from the script that places them.

A file such as ``pages/text/en/08_training.md`` is a list of sections, each under a heading ``## name``.
A script asks for a section by name and hands in the numbers the text mentions as ``[[name]]`` or
``[[name:.3f]]``. Braces and dollar signs belong to LaTeX and are left alone. A text that is handed in shows as it is,
whatever a visitor, a run or a model wrote in it; what is Markdown is handed in as `escape.Markdown`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import streamlit as st

from pages.kit import escape

TEXT = Path(__file__).resolve().parents[1] / "text"
LANGUAGE = "en"
# Lines much longer than this are hard to follow from one end to the next.
READING_WIDTH = 760
WORDS_A_MINUTE = 180

_SECTION = re.compile(r"^## +([a-z][a-z0-9_]*) *$", re.MULTILINE)
_GAP = re.compile(r"\[\[(?P<name>[a-z_][a-z0-9_]*)(?::(?P<form>[^\[\]]*))?\]\]")
_CODE_OR_GAP = re.compile(rf"(?P<code>`[^`\n]*`)|{_GAP.pattern}")


class WordsError(KeyError):
    """A section or a number that the text and the script do not agree on."""

    def __str__(self) -> str:
        return str(self.args[0])


def gaps(section: str) -> set[str]:
    """The names a section asks for."""
    return {match[1] for match in _GAP.finditer(section)}


def fill(section: str, numbers: Mapping[str, object]) -> escape.Markdown:
    """Put numbers into a section's gaps; every name must be asked for and given."""
    expected = gaps(section)
    if missing := sorted(expected - set(numbers)):
        raise WordsError(f"the text uses {', '.join(missing)}, which the script does not pass")
    if unused := sorted(set(numbers) - expected):
        raise WordsError(f"the script passes {', '.join(unused)}, which the text does not use")

    def formatted(match: re.Match) -> str:
        return format(numbers[match["name"]], match["form"] or "")

    def filled(match: re.Match) -> str:
        if code := match["code"]:
            return _GAP.sub(lambda gap: formatted(gap).replace("`", "ˋ"), code)
        value = numbers[match["name"]]
        plain = isinstance(value, str) and not isinstance(value, escape.Markdown)
        return escape.markdown(formatted(match)) if plain else formatted(match)

    return escape.Markdown(_CODE_OR_GAP.sub(filled, section))


@dataclass(frozen=True, slots=True)
class Words:
    """The sections of one file, in the order they stand there."""

    name: str
    sections: Mapping[str, str]

    def read(self, section: str, /, **numbers: object) -> escape.Markdown:
        """The text of a section with its numbers filled in."""
        if section not in self.sections:
            raise WordsError(f"{self.name}.md has no section {section}")
        return fill(self.sections[section], numbers)

    def show(self, section: str, /, **numbers: object) -> None:
        """Write a section where the script stands, in lines of a comfortable length."""
        st.markdown(self.read(section, **numbers), width=READING_WIDTH)


def split(text: str) -> dict[str, str]:
    """Sections by name; what stands above the first heading is a note to editors and is left out."""
    pieces = _SECTION.split(text)[1:]
    names, bodies = pieces[::2], pieces[1::2]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise WordsError(f"section {', '.join(repeated)} occurs twice")
    return {name: body.strip() for name, body in zip(names, bodies, strict=True)}


def load(name: str, language: str = LANGUAGE) -> Words:
    """The words of a file; a section missing in a translation is taken from English."""
    sections: dict[str, str] = {}
    for folder in dict.fromkeys(("en", language)):
        path = TEXT / folder / f"{name}.md"
        if path.exists():
            sections |= _read(path, path.stat().st_mtime_ns)
    if not sections:
        raise WordsError(f"there is no file {name}.md in {TEXT / 'en'}")
    return Words(name, sections)


def questions(name: str) -> Words:
    """The words of a chapter's questions."""
    return load(f"questions/{name}")


def sections_of(name: str) -> Mapping[str, str]:
    """The sections of a file, none where there is no such file: for a search over all."""
    try:
        return load(name).sections
    except WordsError:
        return {}


def minutes(name: str) -> int:
    """Minutes it takes to read a file of words, its labs not counted."""
    return max(1, round(sum(len(body.split()) for body in load(name).sections.values()) / WORDS_A_MINUTE))


@lru_cache(maxsize=64)
def _read(path: Path, mtime_ns: int) -> dict[str, str]:
    # The time of change is part of the key, so that edited words show without a restart.
    return split(path.read_text(encoding="utf-8"))
