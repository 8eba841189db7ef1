"""Chapter 6 in a real browser: cut the residual with another ε, and read what happens to the gradient."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import serious_findings

TURN = 120_000


def test_the_stack_without_residuals_explodes_or_vanishes_by_one_small_constant(server, page):
    page.goto(f"{server.url}/block?c6_depth_n=24")
    lab = page.locator(".st-key-c6_depth_bench")
    expect(lab.get_by_text(re.compile("At 24 blocks without residual connections"))).to_be_visible(
        timeout=TURN
    )
    lab.get_by_role("radio", name="1e-5").click()
    expect(
        lab.get_by_text(re.compile("one small constant decides whether the gradient explodes"))
    ).to_be_visible(timeout=TURN)
    expect(page).to_have_url(re.compile("c6_depth_eps=1e-5"))
    assert not serious_findings(page)
