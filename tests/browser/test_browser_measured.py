"""The ledger in a real browser: measured by keyboard alone, saved, stopped."""

import json

from playwright.sync_api import expect

MINUTE = 60_000
CARD = ".st-key-claim_beta_pushes_card"


def test_a_claim_is_measured_by_keyboard_saved_and_all_others_are_stopped(page, server):
    page.goto(f"{server.url}/measured?m_chapter=10 · The whole script")
    card = page.locator(CARD)
    expect(card).to_contain_text("Measured on ", timeout=MINUTE)
    expect(card).to_contain_text("Comes with Glassbox")
    button = page.locator(".st-key-claim_beta_pushes_measure button")
    button.focus()
    page.keyboard.press("Enter")
    expect(card).to_contain_text("Measured here", timeout=2 * MINUTE)
    expect(card).to_contain_text("Depends")
    expect(card).to_contain_text("times the gradient")

    page.reload()  # what was measured is there for whoever comes
    expect(page.locator(CARD)).to_contain_text("Measured here", timeout=MINUTE)
    save = page.locator(".st-key-measured_save_json button")
    with page.expect_download() as download:
        save.focus()
        page.keyboard.press("Enter")
    with open(download.value.path(), encoding="utf-8") as file:
        saved = {one["name"]: one for one in json.load(file)}
    assert saved["beta_pushes"]["verdict"] == "depends" and saved["beta_pushes"]["versions"]["torch"]

    page.locator(".st-key-measured_all button").focus()
    page.keyboard.press("Enter")
    stop = page.locator(".st-key-measured_stop button")
    expect(stop).to_be_visible(timeout=MINUTE)
    stop.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-measured_all button")).to_be_enabled(timeout=MINUTE)
    expect(page.get_by_text("more waiting")).to_have_count(0)
