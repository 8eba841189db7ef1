"""Chapter 0 in a real browser: the story, the name, the continuations, the link."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import new_visitor

TURN = 60_000


def written(page) -> str:
    """What the story shows: hidden tokens keep their room and are not read."""
    tokens = page.locator(".st-key-c0_story .token:not(.hidden)")
    return "".join(tokens.all_text_contents())


def test_a_story_writes_itself_and_the_name_in_it_can_be_swapped(server, page):
    page.goto(f"{server.url}/overview")
    expect(page.locator(".st-key-c0_story .token:not(.hidden)").nth(10)).to_be_visible(timeout=TURN)
    assert len(written(page)) > 10
    expect(page.locator(".st-key-c0_story .bars .row")).to_have_count(5)
    name = page.locator(".st-key-c0_story .name")
    before = name.text_content()
    name.click()
    expect(name).not_to_have_text(before, timeout=TURN)
    expect(page).to_have_url(re.compile("c0_name="))


def test_who_asks_for_no_motion_sees_the_whole_story_at_once(server, page):
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{server.url}/overview")
    expect(page.locator(".st-key-c0_story .token").nth(10)).to_be_visible(timeout=TURN)
    expect(page.locator(".st-key-c0_story .token.hidden")).to_have_count(0)


def test_a_link_opens_the_story_with_its_name(server, page):
    page.goto(
        f"{server.url}/?c0_name=Tom#lab"
    )  # as the first edition wrote it, for the page at the bare address
    expect(page.locator(".st-key-c0_story .name")).to_have_text("Tom", timeout=TURN)
    expect(page).to_have_url(f"{server.url}/overview?c0_name=Tom#lab")


def test_a_continuation_is_appended_by_a_click_and_the_link_opens_the_same_view(server, page, chromium):
    page.goto(f"{server.url}/overview")
    field = page.get_by_label("Your prompt")
    field.fill("The king opened his laptop")
    field.press("Enter")
    expect(page.locator(".st-key-c0_pieces .unknown").first).to_be_visible(timeout=TURN)
    page.locator(".st-key-c0_trained button.word").nth(4).click()
    expect(field).to_have_value(re.compile("^The king opened his laptop.+"), timeout=TURN)
    longer = field.input_value()
    expect(page).to_have_url(re.compile("c0_prompt="))
    other = new_visitor(chromium).new_page()
    other.goto(page.url)
    expect(other.get_by_label("Your prompt")).to_have_value(longer, timeout=TURN)
    other.context.close()
