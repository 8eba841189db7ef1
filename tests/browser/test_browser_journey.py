"""The journey in a real browser, by the keyboard alone: over the map, into a stage's numbers, and back."""

import re

from playwright.sync_api import expect

TURN = 120_000
MOST_MILLISECONDS = 200  # for a step, from the key to the drawn panel; the middle one of eleven


def test_a_journey_by_keyboard(server, page):
    page.goto(f"{server.url}/journey?j_text=Tom+and+Mira+went+to+the+river.&j_token=3&j_stage=embedding")
    grid = page.get_by_role("grid")
    expect(grid).to_be_visible(timeout=TURN)
    panel = page.get_by_role("region", name="The stage on view")
    expect(panel.get_by_role("heading")).to_have_text("embedding")

    grid.focus()
    page.keyboard.press("ArrowDown")
    expect(panel.get_by_role("heading")).to_have_text("normed")
    took = []
    for _ in range(11):
        page.keyboard.press("ArrowDown")
        took.append(float(page.locator(".trace-map").get_attribute("data-milliseconds")))
    assert sorted(took)[5] < MOST_MILLISECONDS
    page.keyboard.press("ArrowRight")
    cell = page.locator("[role=gridcell]")
    expect(cell).to_have_attribute("aria-colindex", "4")
    expect(cell).to_have_attribute("aria-rowindex", "13")

    page.keyboard.press("PageUp")
    expect(panel.get_by_role("heading")).to_have_text("embedding")
    page.keyboard.press("Enter")  # into the numbers of the stage
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(panel.get_by_text(re.compile(r"^␣Mira, number 3: −?[\d.]+"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(grid).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(panel.get_by_role("heading")).not_to_have_text("embedding")  # it walks by itself
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    page.keyboard.press("End")
    expect(panel.get_by_role("heading")).to_have_text("probabilities")
    expect(page).to_have_url(re.compile("j_stage=probabilities"), timeout=TURN)
    expect(page).to_have_url(re.compile("j_token=4"))
    # A rerun gives each download another address, so that a click within one is lost.
    expect(page.locator("[data-testid=stApp]")).to_have_attribute(
        "data-test-script-state", "notRunning", timeout=TURN
    )
    with page.expect_download(timeout=TURN) as download:
        page.get_by_role("button", name="This view as SVG").press("Enter")
    assert "<svg" in download.value.path().read_text(encoding="utf-8")
