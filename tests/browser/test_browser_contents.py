"""The bar that lists a chapter's sections: always in view, marks the section in view, a menu in a narrow window."""

import re

from playwright.sync_api import expect

from pages.kit.book import PARTS, SHORT, TABLE
from tests.browser.conftest import BACKGROUND

MINUTE = 60_000


def open_chapter(page, server, row, width: int, height: int):
    page.set_viewport_size({"width": width, "height": height})
    page.goto(f"{server.url}/{row.url}")
    expect(page.get_by_role("heading", name=PARTS["deeper"], level=2)).to_be_visible(timeout=2 * MINUTE)
    return page.get_by_role("navigation", name="Contents of this chapter")


def test_a_lab_is_reached_by_keyboard_and_escape_closes_the_menu(server, page):
    contents = open_chapter(page, server, TABLE[6], 1440, 900)
    menu = contents.locator("summary")
    menu.focus()
    page.keyboard.press("Enter")
    lab = contents.get_by_role("link", name=re.compile("head"), exact=False).first
    expect(lab).to_be_visible()
    page.keyboard.press("Escape")
    expect(lab).to_be_hidden()
    page.keyboard.press("Enter")
    lab.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h3#c5_heads")).to_be_in_viewport()
    expect(lab).to_be_hidden()
    for name in ("Worked example", "The code"):  # the link after a heading leads to the next part
        skip = page.get_by_role("link", name=f"Skip to “{name}”", exact=True)
        skip.focus()
        expect(skip).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_focused()
    page.get_by_role("link", name="Skip to the page").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_a_narrow_window_has_the_contents_as_a_menu_that_names_the_section_in_view(server, page):
    contents = open_chapter(page, server, TABLE[6], 400, 800)
    menu = contents.locator("summary")
    expect(menu).to_be_in_viewport()
    menu.click()
    contents.get_by_role("link", name=SHORT["diagram"], exact=True).first.click()
    expect(page.locator("h2#diagram")).to_be_in_viewport()
    expect(menu).to_have_text(f"Contents: {SHORT['diagram']}")
    expect(menu).to_be_in_viewport()
    page.get_by_test_id("stExpandSidebarButton").click(timeout=MINUTE)  # the bar does not lie over it
    expect(page.get_by_test_id("stSidebarNav")).to_be_in_viewport()


COUNT_LISTENERS = """
const add = document.addEventListener, remove = document.removeEventListener
window.listening = 0
document.addEventListener = function (name, ...more) {
  window.listening += name === "touchmove"
  return add.call(this, name, ...more)
}
document.removeEventListener = function (name, ...more) {
  window.listening -= name === "touchmove"
  return remove.call(this, name, ...more)
}
"""


def test_the_bar_follows_to_the_next_chapter_and_listens_once(server, page):
    page.add_init_script(COUNT_LISTENERS)
    contents = open_chapter(page, server, TABLE[6], 1440, 900)
    expect(contents.locator("summary")).to_be_visible()
    before = page.evaluate("window.listening")
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=TABLE[7].label).click()
    expect(page.locator("h3#c6_depth")).to_be_attached(timeout=2 * MINUTE)
    contents.locator("summary").click()
    expect(contents.locator("a[href='#c6_depth']")).to_be_visible()
    expect(contents.locator("a[href^='#c5_']")).to_have_count(0)
    for scheme in ("dark", "light", "dark"):
        was = page.evaluate(BACKGROUND)
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"was => {BACKGROUND} !== was", arg=was)
    assert page.evaluate("window.listening") == before
