"""Chapter 7 in a real browser: a prediction is made, the button shows the large model, and its numbers are read."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import serious_findings

TURN = 120_000


def test_a_prediction_leads_to_the_large_model(server, page):
    page.goto(f"{server.url}/model")
    box = page.locator(".st-key-c7_published_bench")
    expect(box.get_by_text(re.compile(r"GPT-2 small has 124,439,808 parameters"))).to_be_visible(timeout=TURN)
    box.get_by_text("About an eighth, or less").click()
    expect(box.get_by_text(re.compile("Correct"))).to_be_visible(timeout=TURN)
    box.get_by_role("button", name="Show it in the lab").click()
    expect(box.get_by_text(re.compile(r"LLaMA 3 8B has 8,030,261,248 parameters"))).to_be_visible(
        timeout=TURN
    )
    expect(page).to_have_url(re.compile("c7_published_model=LLaMA"))
    assert not serious_findings(page)
