"""Chapter 5 in a real browser: a click, a link in another window, the keyboard alone, a phone, and what axe finds."""

import re

from playwright.sync_api import expect

from pages.labs.attention.quiz import questions
from tests.browser.conftest import new_visitor, serious_findings

TURN = 120_000


def tokens(page):
    return page.locator(".st-key-c5_heads_at_strip button.chip")


def opened(page, url: str) -> None:
    page.goto(url)
    expect(tokens(page).first).to_be_visible(timeout=TURN)


def test_a_click_the_keyboard_alone_and_an_answer_to_a_question(server, page):
    opened(page, f"{server.url}/attention?seed=1")
    click_a_token(page)
    use_the_keyboard(page)
    answer_a_question(page)


def click_a_token(page) -> None:
    expect(page.get_by_text("attends from morning most to Mira")).to_be_visible(timeout=TURN)
    tokens(page).nth(4).click()
    expect(page.get_by_text("attends from Mira most to")).to_be_visible(timeout=TURN)
    expect(tokens(page).nth(4)).to_have_attribute("aria-pressed", "true")
    expect(page).to_have_url(re.compile("c5_heads_at=5"))


def use_the_keyboard(page) -> None:
    tokens(page).nth(1).focus()
    page.keyboard.press("Enter")
    expect(tokens(page).nth(1)).to_have_attribute("aria-pressed", "true", timeout=TURN)
    expect(page).to_have_url(re.compile("c5_heads_at=2"))
    line = page.locator(".st-key-c5_code_weights .row[tabindex='0']").first
    line.focus()
    expect(line.locator(".note")).to_be_visible()
    slider = page.get_by_role("slider", name="Head dimension d")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text(re.compile(r"sorted, at d = 128"))).to_be_visible(timeout=TURN)
    expect(page).to_have_url(re.compile("c5_scale_d=128"))


def answer_a_question(page) -> None:
    names = [question.name for question in questions(1)]
    page.get_by_role("tab", name=f"Question {names.index('why_minus_infinity') + 1}").click()
    box = page.locator(".st-key-c5_question_why_minus_infinity")
    box.get_by_text("It is faster.").click()
    expect(box.get_by_text("Zeros afterwards would be wrong, not slow.")).to_be_visible(timeout=TURN)
    box.get_by_text("With zeros afterwards").first.click()
    expect(box.get_by_text("The masked keys would already have taken")).to_be_visible(timeout=TURN)


def test_a_link_copied_in_one_window_opens_the_same_view_in_another(server, page, chromium):
    opened(page, f"{server.url}/attention?c5_scale_d=256&c5_heads_at=5&c5_q=1,2;.5,-1;0,1")
    expect(page.get_by_text("attends from Mira most to")).to_be_visible(timeout=TURN)
    said = page.get_by_text(re.compile(r"the largest weight is")).inner_text()
    button = page.locator(".st-key-c5_scale_link button")
    button.click()
    expect(button).to_have_attribute(
        "data-link", re.compile("c5_scale_metric=entropy")
    )  # defaults travel too
    link = button.get_attribute("data-link")
    assert "v=" in link  # and the version
    other = new_visitor(chromium).new_page()
    opened(other, link)
    expect(other.get_by_text("attends from Mira most to")).to_be_visible(timeout=TURN)
    assert other.get_by_text(re.compile(r"the largest weight is")).inner_text() == said
    expect(other.locator("h3#c5_scale")).to_be_in_viewport(timeout=TURN)  # the address leads to the lab
    other.context.close()


def test_nothing_is_wider_than_a_phone_and_axe_finds_nothing_serious(server, page):
    page.set_viewport_size({"width": 400, "height": 800})
    opened(page, f"{server.url}/attention")
    main = page.get_by_test_id("stMain")
    assert main.evaluate("main => main.scrollWidth <= main.clientWidth")
    assert not serious_findings(page)
