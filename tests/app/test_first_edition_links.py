"""Links of the first edition: each opens its page, every parameter is known there and its value is used."""

import json
import shutil
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from pages.kit import book, links
from pages.kit.renamed_values import RENAMED
from tests.app.reading import opener

LEFT = Path(__file__).resolve().parents[1] / "first_edition"
LINKS = (LEFT / "links.txt").read_text(encoding="utf-8").splitlines()
CHOICES = json.loads((LEFT / "choices.json").read_text(encoding="utf-8"))
# Parameters that pages read without a widget of that name.
READ_AS_THEY_ARE = {*links.STICKY, "topic", "print", "runs_compared"}
ROWS = {row.url: row for row in book.TABLE}


@pytest.fixture(autouse=True)
def runs(own_runs):
    """The first edition's runs, which some links name."""
    shutil.copytree(LEFT / "runs", own_runs)


def has(app, key: str) -> bool:
    """Whether a page's session has a value under this name; AppTest has no `get`."""
    return key in app.session_state


def test_every_page_has_its_address_still():
    assert {urlsplit(link).path for link in LINKS} <= set(ROWS)


@pytest.mark.parametrize(
    ("file", "key", "parts"),
    [("11_glossary.py", "c11_term", "check"), ("04_positions.py", "c4_pairing", "lab")],
)
def test_a_value_that_has_a_new_name_opens_the_same_view(file, key, parts):
    """A select box and a segmented control: both show the new name, and the old one leaves the address."""
    (old, new), *_ = RENAMED[key].items()
    app = opener(file)(**{key: old, "hide": f"analogy,code,diagram,measured,deeper,{parts}"})
    assert app.session_state[key] == new
    assert not [warning.value for warning in app.warning] and key not in app.query_params


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link[:40])
def test_a_link_opens_without_a_complaint(link):
    address = urlsplit(link)
    asked = dict(parse_qsl(address.query))
    app = opener(ROWS[address.path].file)(**asked)
    assert [warning.value for warning in app.warning if "The link asks for" in warning.value] == []
    bound = app.session_state["bound_on_page"] if has(app, "bound_on_page") else {}
    unknown = {key for key in asked if key not in bound and not has(app, f"{key}_kept")} - READ_AS_THEY_ARE
    assert unknown == set()
    refused = {
        (key, value)
        for key, rule in ((key, widget.rule) for key, widget in bound.items())
        if isinstance(rule, links.Choice)
        for value in CHOICES.get(key, ())
        if rule.refuses(value)
    }
    assert refused == set()
    texts = {box.key: box.value for box in app.text_input}
    assert {key: texts[key] for key in asked if key in texts} == {
        key: value for key, value in asked.items() if key in texts
    }
