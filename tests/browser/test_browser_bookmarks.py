"""Every page by its own link: on a server nobody has asked yet, and read by axe."""

import pytest
from playwright.sync_api import expect

from pages.kit.book import TABLE
from tests.browser.conftest import serious_findings

MINUTE = 60_000
MANY = (
    "overview",
    "training",
    "inference",
    "glossary",
    "journey",
    "measured",
)  # the parts that all pages are made of
READ = [row if row.url in MANY else pytest.param(row, marks=pytest.mark.long) for row in TABLE]
CHAPTER = TABLE[6]
COLD = [  # the first page, a chapter, a page beside the book: three servers, of which a chapter's is the trap
    row if row is CHAPTER else pytest.param(row, marks=pytest.mark.long)
    for row in (TABLE[0], CHAPTER, TABLE[-1])
]


def open_by_link(page, server, row) -> None:
    # A note at the bare address was one for chapter 0, and leads there.
    path, value = ("", "home_start=abc") if row is TABLE[0] else (row.url, "note=abc")
    page.goto(f"{server.url}/{path}?{value}")
    expect(page.get_by_role("heading", name=row.title, level=1)).to_be_visible(timeout=2 * MINUTE)
    sidebar = page.get_by_test_id("stSidebarNav")
    for section in {row.section for row in TABLE}:
        expect(sidebar).to_contain_text(section)
    expect(sidebar.get_by_role("link")).to_have_count(len(TABLE))
    expect(page.get_by_role("combobox", name="Model in use")).to_be_visible()
    assert value in page.url


@pytest.mark.parametrize("row", COLD, ids=["home", CHAPTER.url, TABLE[-1].url])
def test_a_bookmark_opens_on_a_server_nobody_has_asked_yet(row, cold_server, page):
    open_by_link(page, cold_server, row)


@pytest.mark.parametrize("row", READ, ids=[row.url for row in TABLE])
def test_a_page_opens_by_its_link_and_axe_finds_nothing_serious(row, server, page):
    open_by_link(page, server, row)
    assert not serious_findings(page)
