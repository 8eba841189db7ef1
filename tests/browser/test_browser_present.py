"""Presenter mode: one section at a time, moved by keys, with labs that answer; the way in and out."""

import re

from playwright.sync_api import expect

from pages.kit.book import PARTS, TABLE

MINUTE = 60_000
IN_VIEW = """() => [...document.querySelectorAll('[data-testid="stMain"] :is(h2, h3[id^="c5_"])')]
  .filter(heading => heading.getClientRects().length).map(heading => heading.id)"""
WIDTH = "figure => figure.getBoundingClientRect().width"


def position(page):
    return page.get_by_role("navigation", name="Presenter").get_by_role("status")


def test_keys_move_through_the_sections_and_a_lab_answers(server, page):
    page.goto(f"{server.url}/attention?present=1#c5_heads")
    expect(position(page)).to_contain_text("What does each head attend to?", timeout=2 * MINUTE)
    expect(page.get_by_text("Make a lesson link")).to_be_attached(timeout=2 * MINUTE)
    assert page.evaluate(IN_VIEW) == ["lab", "c5_heads"]
    page.keyboard.press("ArrowRight")
    expect(position(page)).to_contain_text("Why divide by √d")
    assert page.evaluate(IN_VIEW) == ["c5_scale"]
    assert page.url.endswith("#c5_scale")

    slider = page.locator(".st-key-c5_scale_d").get_by_role("slider")
    before = slider.input_value()
    slider.press("ArrowRight")  # moves the slider, and not the section
    expect(slider).not_to_have_value(before)
    page.wait_for_url(re.compile("c5_scale_d="))
    expect(position(page)).to_contain_text("Why divide by √d")
    assert page.evaluate(IN_VIEW) == ["c5_scale"]

    # The figure is drawn again once more after the slider's answer: it is enlarged when the page is at rest.
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.wait_for_timeout(1000)
    figure = page.locator(".st-key-c5_scale_curves").get_by_test_id("stPlotlyChart")
    small = figure.evaluate(WIDTH)
    page.locator("h3#c5_scale").click()
    page.keyboard.press("f")
    assert figure.evaluate(WIDTH) > small
    page.keyboard.press("Escape")
    assert figure.evaluate(WIDTH) == small

    for key, part in (("PageUp", "lab"), ("Home", None), (" ", "analogy"), ("PageDown", "example")):
        page.keyboard.press(key)
        seen = page.evaluate(IN_VIEW)
        assert (seen[:1] == [part]) if part else not seen
    page.keyboard.press("ArrowLeft")
    expect(position(page)).to_have_text(re.compile(rf"Section 2 of \d+: {PARTS['analogy']}"))
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("stSidebarNav")).to_be_visible()
    page.wait_for_url(lambda url: "present" not in url)
    assert set(PARTS) <= set(page.evaluate(IN_VIEW))


def test_presenting_begins_by_a_button_and_goes_on_in_the_next_chapter(server, page):
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(f"{server.url}/attention")
    expect(page.get_by_text("Make a lesson link")).to_be_attached(timeout=2 * MINUTE)
    page.get_by_role("button", name="Present", exact=True).click()
    bar = page.get_by_role("navigation", name="Presenter")
    expect(bar).to_be_visible()
    page.wait_for_url(re.compile("present=1"))
    page.keyboard.press("End")
    expect(bar.get_by_role("button", name="Next")).to_be_disabled()
    main = page.get_by_test_id("stMain")
    assert main.evaluate("main => main.scrollWidth <= main.clientWidth")
    page.get_by_test_id("stMain").get_by_role("link", name=TABLE[7].label).last.click()
    page.wait_for_url(re.compile("/block.*present=1"), timeout=2 * MINUTE)
    expect(position(page)).to_have_text(re.compile(rf"1 of \d+: {TABLE[7].title}"), timeout=2 * MINUTE)
    bar.get_by_role("button", name="Leave").click()
    expect(bar).to_be_hidden()
