"""Chapter 3 in a real browser: the inputs are let in, and the prediction is answered."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import serious_findings

TURN = 120_000


def test_a_prediction_about_the_famous_sum_is_answered_and_shown(server, page):
    page.goto(f"{server.url}/embeddings")
    lab = page.locator(".st-key-c3_sum_bench")
    expect(lab.get_by_text("king − man + woman = ?")).to_be_visible(timeout=TURN)
    lab.get_by_text("One of the three input words").click()
    expect(lab.get_by_text(re.compile("the result stays close to the inputs"))).to_be_visible(timeout=TURN)
    lab.get_by_role("button", name="Show it in the lab").click()
    expect(page).to_have_url(re.compile("c3_sum_inputs=true"), timeout=TURN)
    assert not serious_findings(page)
