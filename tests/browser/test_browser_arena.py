"""The arena in a real browser: a match is a link, its runs are found again after a reload, and it can be stopped."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import serious_findings

MINUTE = 60_000
LINK = "/arena?arena_size=pico&arena_steps=1200&arena_seeds=2"


def test_a_match_lives_in_its_link_and_its_runs_are_found_again(page, server):
    page.goto(server.url + LINK)
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text("Made equal in parameters")).to_be_visible(timeout=MINUTE)
    main.get_by_text("flops", exact=True).click()
    expect(main.get_by_text("Made equal in FLOPs")).to_be_visible(timeout=MINUTE)
    expect(page).to_have_url(re.compile("arena_equal=flops"), timeout=MINUTE)
    main.get_by_role("button", name="Train the 12 runs").click()
    expect(main.get_by_text("0 of 12 runs are done")).to_be_visible(timeout=MINUTE)
    expect(main.get_by_test_id("stProgress")).to_be_in_viewport(ratio=1)
    expect(main.get_by_role("button", name="Stop")).to_be_in_viewport(ratio=1)
    page.reload()
    expect(main.get_by_text("0 of 12 runs are done")).to_be_visible(timeout=MINUTE)
    main.get_by_role("button", name="Stop").click()
    expect(main.get_by_role("button", name="Train the 12 runs")).to_be_enabled(timeout=MINUTE)
    assert not serious_findings(page)
