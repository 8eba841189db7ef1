"""The tools under every figure: its picture and its data, saved and shown, are what is drawn."""

import csv
import xml.etree.ElementTree as ET

import pytest
from playwright.sync_api import expect

MINUTE = 60_000
PNG = b"\x89PNG\r\n\x1a\n"
TRACE = """box => {
  const { type, labels, values, x, y, z } = box.querySelector(".js-plotly-plot")._fullData[0]
  return { type, labels, values, x, y, z: z && [...z].map(row => [...row]) }
}"""


def figure(page, key: str):
    box = page.locator(f".st-key-{key}")
    box.evaluate("box => box.scrollIntoView({ block: 'center' })")
    expect(box.get_by_role("button", name="Save or show data")).to_be_visible(timeout=2 * MINUTE)
    return box


def menu(box, item: str):
    box.get_by_role("button", name="Save or show data").click()
    return box.get_by_role("menuitem", name=item)


def saved(box, item: str) -> bytes:
    with box.page.expect_download() as download:
        menu(box, item).click()
    return download.value.path().read_bytes()


def rows(box) -> list[list[str]]:
    """The rows of a figure's CSV below its header."""
    return list(csv.reader(saved(box, "Save data as CSV").decode("utf-8-sig").splitlines()))[1:]


def check_pictures(box, text: str) -> None:
    svg = saved(box, "Save picture as SVG")
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert text in svg.decode()
    assert saved(box, "Save picture as PNG").startswith(PNG)


@pytest.fixture
def chapter(server, page):
    page.goto(f"{server.url}/model")
    expect(page.get_by_text("Make a lesson link")).to_be_visible(timeout=2 * MINUTE)
    return page


def test_what_is_saved_and_shown_is_what_is_drawn(chapter):
    tree = figure(chapter, "c7_finding")
    drawn = tree.evaluate(TRACE)
    assert drawn["type"] == "treemap"
    assert [float(row[2]) for row in rows(tree)] == drawn["values"]
    assert len({row[0] for row in rows(tree)}) == len(drawn["labels"])

    bars = figure(chapter, "c7_published_bars")
    drawn = bars.evaluate(TRACE)
    assert drawn["type"] == "bar"
    assert [(row[0], float(row[1])) for row in rows(bars)] == list(zip(drawn["x"], drawn["y"]))

    cells = chapter.locator(".st-key-c7_lens_map")
    cells.scroll_into_view_if_needed()
    drawn = cells.locator("[data-figure]").evaluate("element => element.figure.data()")
    written = [[row[1], row[3], float(row[4])] for row in rows(cells)]
    assert written == [[row[1], row[3], row[4]] for row in drawn["rows"]]
    menu(cells, "Show data as a table").click()
    table = cells.get_by_role("table")
    shown = table.locator("tbody tr").evaluate_all("lines => lines.map(line => line.cells[4].textContent)")
    assert [float(value) for value in shown] == pytest.approx([row[-1] for row in written][:200], rel=1e-5)
    menu(cells, "Hide the table").click()
    expect(table).to_be_hidden()

    diagram = chapter.locator("[data-testid=stElementContainer]:has([data-figure])").first
    diagram.scroll_into_view_if_needed()
    for box, text in ((tree, "embedding"), (cells, "<image"), (diagram, "<path")):
        check_pictures(box, text)
