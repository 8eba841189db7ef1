"""Chapter 1 in a real browser: the knob is turned and the answer read."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import serious_findings

TURN = 60_000


def test_the_knob_is_turned_by_the_prediction_and_flies_off(server, page):
    page.goto(f"{server.url}/setup")
    lab = page.locator(".st-key-c1_knob_bench")
    expect(lab.get_by_text(re.compile("(Still converging|Training converges)"))).to_be_visible(timeout=TURN)
    lab.get_by_text("It diverges", exact=True).click()
    expect(lab.get_by_text("Correct.")).to_be_visible(timeout=TURN)
    lab.get_by_role("button", name="Show it in the lab").click()
    expect(lab.get_by_text("Training diverges.")).to_be_visible(timeout=TURN)
    expect(page).to_have_url(re.compile("c1_knob_rate=0.26"))
    assert not serious_findings(page)
