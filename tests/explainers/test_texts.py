"""The explainers keep to their form: front matter, outline, length, links, sources, and figures that are shown."""

import math
import re

import pytest

from explainers.comparison import numbers
from explainers.library import FOLDER, explainers, linked
from explainers.reading import OUTLINE, THEMES

ALL = explainers()
every_one = pytest.mark.parametrize("explainer", ALL, ids=lambda explainer: explainer.topic)
FEWEST, MOST = 900, 1800  # words

# Names of authors with a year, or a link: what stands in such a paragraph has its source there.
_SOURCE = re.compile(r"[A-Z]\w+(?:[^.]|\bal\.){0,80}\b(?:19|20)\d\d\b|\]\(https?://")
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_SMALL = 12  # whole numbers up to this are counts, exponents and places in a list


def section(explainer, heading: str) -> str:
    return explainer.prose.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_all_twenty_two_are_there_and_in_order():
    assert len(ALL) == 22
    assert [explainer.order for explainer in ALL] == list(range(1, 23))
    assert [explainer.chapter for explainer in ALL] == sorted(explainer.chapter for explainer in ALL)
    assert len({explainer.title for explainer in ALL}) == 22
    assert {explainer.theme for explainer in ALL} == set(THEMES)


@every_one
def test_the_front_matter_is_of_use(explainer):
    topics = {other.topic for other in ALL}
    assert set(explainer.know_before) <= topics - {explainer.topic}
    assert 0 <= explainer.chapter <= 11
    assert explainer.summary.endswith(".") and len(explainer.summary) <= 200
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", explainer.topic)
    assert explainer.minutes == max(1, round(explainer.n_words / 180))


@every_one
def test_the_outline_is_the_same_for_all(explainer):
    assert explainer.headings == OUTLINE


@every_one
def test_the_length_is_right(explainer):
    assert FEWEST <= explainer.n_words <= MOST


@every_one
def test_there_is_a_block_with_a_slider_that_uses_the_library(explainer):
    assert any(block.constants for block in explainer.blocks)
    assert any("from gptcore" in block.code for block in explainer.blocks)


@every_one
def test_links_lead_somewhere(explainer):
    assert set(linked(explainer.body)) <= {other.topic for other in ALL}
    for target in re.findall(r"\]\(([^)]+)\)", explainer.prose):
        assert target.startswith("https://") or (FOLDER / target).is_file(), target


@every_one
def test_sources_name_authors_years_and_a_place_to_read_them(explainer):
    sources = [line for line in section(explainer, "Sources").splitlines() if line.startswith("- ")]
    assert len(sources) >= 2
    for line in sources:
        assert _YEAR.search(line), line
        assert "](https://" in line, line
    history = section(explainer, "History")
    assert len(_YEAR.findall(history)) >= 2


@every_one
def test_figures_in_prose_are_computed_on_the_page_or_name_their_source(explainer):
    shown = [number for block in explainer.blocks for number, _ in numbers(f"{block.expected}\n{block.code}")]
    shown += [
        float(word.replace("_", ""))
        for block in explainer.blocks
        for word in re.findall(r"\b\d[\d_]+\b", block.code)
    ]
    for paragraph in explainer.prose.split("\n\n"):
        if _SOURCE.search(paragraph) or paragraph.startswith("#"):
            continue
        plain = re.sub(r"\]\([^)]*\)|`[^`]*`", "", paragraph)
        for value, unit in numbers(plain):
            whole = unit == 0
            if whole and (abs(value) <= _SMALL or 1900 <= value < 2100):
                continue
            assert _is_shown(value, unit, shown), (
                f"{value:g} is neither computed nor sourced: {paragraph[:200]}"
            )


def _is_shown(value: float, unit: float, shown: list[float]) -> bool:
    """Whether a number of the prose is one that the page shows, rounded as the prose rounds it."""
    half = (
        max(unit, 1e-9 if abs(value) < 100 or value % 10 else 10 ** math.floor(math.log10(abs(value)) - 1))
        / 2
    )
    return any(
        abs(abs(number) * scale - abs(value)) <= half * 1.001 for number in shown for scale in (1, 100, 0.01)
    )


@every_one
def test_the_voice_has_no_hype(explainer):
    text = re.sub(r"`[^`]*`|\$\$[^$]*\$\$|\$[^$]*\$", "", explainer.prose)
    assert "!" not in text
    for word in ("revolutionary", "magic", "amazing", "simply", "obviously", "TODO", "of course"):
        assert not re.search(rf"\b{word}\b", text, re.IGNORECASE), word
    assert not re.search("[\U0001f300-\U0001faff]", text)
