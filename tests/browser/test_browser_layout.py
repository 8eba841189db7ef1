"""How much of a chapter one sees at once: its height, where its first lab begins, and labs and diagrams in one screen.

Each page is opened once, wide and then narrow, for all that is asked of it.
"""

import re

import pytest
from playwright.sync_api import expect

from pages.kit.book import PARTS, SHORT, TABLE

MINUTE = 60_000
CHAPTERS = [row for row in TABLE if row.number is not None]
TRIED = [row if row.url == "attention" else pytest.param(row, marks=pytest.mark.long) for row in CHAPTERS]
FITTING = {0, 1, 2, 3, 4, 5}  # the chapters whose sizes are held
SCREEN = 900 - 60  # px below the bar at the top
MOST_HEIGHT, FIRST_LAB, DIAGRAM = 10_000, 4_000, 800

MEASURE = """() => {
  const main = document.querySelector('[data-testid="stMain"]')
  const top = element => element.getBoundingClientRect().top + main.scrollTop
  const drawn = element => element.getBoundingClientRect().height > 0
  const controls = '[data-testid="stSlider"],[data-testid="stSelectbox"],[data-testid="stTextInput"],' +
    '[data-testid="stButtonGroup"],[data-testid="stCheckbox"],[data-testid="stNumberInput"],' +
    '[data-testid="stTextArea"],[data-testid="stMultiSelect"],[data-testid="stDataFrame"],[data-testid="stRadio"]'
  const benches = [...main.querySelectorAll('[class*="_bench"]')]
  return {
    height: main.scrollHeight,
    waiting: benches.filter(bench => !bench.querySelector(controls)).length +
      benches.filter(bench => !bench.querySelector('[class*="_reset"]')).length +
      document.querySelectorAll('[data-testid="stSkeleton"], [data-testid="stStatusWidget"]').length,
    sections: [...main.querySelectorAll('h2[id]')].map(h => h.id),
    diagram: [...main.querySelectorAll('h2#diagram, h2#lab')].map(top),
    labs: benches.map(bench => {
      const first = [...bench.querySelectorAll(controls)].find(drawn)
      const end = bench.querySelector('[class*="_predict"]') ?? bench.querySelector('[class*="_reset"]')
      const name = bench.className.match(/st-key-(\\w+)_bench/)[1]
      return { name, top: top(bench), first: first && top(first), end: end && top(end) }
    }),
    inside: main.scrollWidth <= main.clientWidth,
  }
}"""


def open_chapter(page, server, row, width: int, height: int):
    page.set_viewport_size({"width": width, "height": height})
    page.goto(f"{server.url}/{row.url}")
    expect(page.get_by_role("heading", name=PARTS["deeper"], level=2)).to_be_visible(timeout=2 * MINUTE)
    return page.get_by_role("navigation", name="Contents of this chapter")


def measured(page) -> dict:
    """Sizes of the page once everything on it is drawn."""
    before = None
    for _ in range(120):
        page.wait_for_timeout(500)
        now = page.evaluate(MEASURE)
        if now == before and not now["waiting"]:
            return now
        before = now
    pytest.fail(f"the page does not come to rest: {before}")


def assert_fits(sizes: dict) -> None:
    """A short page, an early first lab, a diagram within one screen, and in each lab all from the first control to
    the last sentence before its prediction.
    """
    assert sizes["height"] <= MOST_HEIGHT
    assert sizes["labs"][0]["top"] <= FIRST_LAB
    begin, end = sizes["diagram"]
    assert end - begin <= DIAGRAM
    spans = {one["name"]: one["end"] - one["first"] for one in sizes["labs"]}
    assert {name: span for name, span in spans.items() if span > SCREEN} == {}


@pytest.mark.parametrize("row", TRIED, ids=lambda row: row.url)
def test_a_chapter_is_short_and_each_lab_and_diagram_fits_one_screen(row, server, page):
    contents = open_chapter(page, server, row, 1440, 900)
    sizes = measured(page)
    if row.number in FITTING:
        assert_fits(sizes)
    for part in reversed([part for part in PARTS if part in sizes["sections"]]):
        link = contents.get_by_role("link", name=SHORT[part], exact=True).last
        link.click()
        expect(page.locator(f"h2#{part}")).to_be_in_viewport()
        expect(link).to_have_attribute("aria-current", "location")
        assert page.url.endswith(f"#{part}")
    listed = contents.locator(".menu")
    for lab in sizes["labs"]:
        expect(listed.locator(f"a[href='#{lab['name']}']")).to_have_count(1)
    page.set_viewport_size({"width": 400, "height": 800})
    assert measured(page)["inside"]
    expect(contents.locator("summary")).to_have_text(re.compile("^Contents: "))
