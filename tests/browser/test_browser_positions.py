"""Chapter 4 in a real browser: both sliders are dragged by the keyboard, and the score is read from the page."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import serious_findings

TURN = 120_000


def test_dragging_both_leaves_the_score_where_it_was(server, page):
    page.goto(f"{server.url}/positions?c4_drag_query=30&c4_drag_key=10")
    said = page.get_by_text(re.compile(r"Query at \d+, key at \d+, distance"))
    expect(said).to_contain_text("distance 20", timeout=TURN)
    score = re.search(r"score (-?[\d.]+)", said.inner_text())[1]
    for name in ("query", "key"):
        page.locator(f".st-key-c4_drag_{name}").get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        expect(said).to_contain_text("distance 21" if name == "query" else "distance 20", timeout=TURN)
    expect(said).to_contain_text(f"Query at 31, key at 11, distance 20: score {score}")
    expect(page).to_have_url(re.compile("c4_drag_query=31"))
    assert not serious_findings(page)
