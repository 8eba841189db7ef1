"""Chapter 2 in a real browser: the scrubber moves on, and its merge is read."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import serious_findings

TURN = 120_000


def test_the_scrubber_goes_to_the_next_merge(server, page):
    page.goto(f"{server.url}/tokens?c2_train_n=20")
    expect(page.get_by_text(re.compile(r"^Merge 20:"))).to_be_visible(timeout=TURN)
    slider = page.get_by_role("slider", name="Number of merges")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text(re.compile(r"^Merge 21:"))).to_be_visible(timeout=TURN)
    expect(page).to_have_url(re.compile("c2_train_n=21"))
    expect(page.locator(".st-key-c2_train_tokens .chip").first).to_be_visible()
    assert not serious_findings(page)
