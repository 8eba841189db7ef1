"""Chapter 11 in a real browser: a link opens a word, typing finds another, and the false sentence is judged."""

import re

from playwright.sync_api import expect

TURN = 120_000


def test_a_word_is_opened_by_its_link_and_another_found_by_typing(server, page):
    page.goto(f"{server.url}/glossary?c11_term=softmax&hide=example,code,diagram,measured,check")
    entry = page.locator(".st-key-c11_entry")
    expect(entry.get_by_role("heading", name="softmax")).to_be_visible(timeout=TURN)
    expect(entry.locator(".js-plotly-plot")).to_be_visible(timeout=TURN)
    field = page.get_by_role("main").get_by_label("Search terms")
    field.fill("low-rank xylophone")
    field.press("Enter")
    expect(page.get_by_text("No term matches all these words.")).to_be_visible(timeout=TURN)
    field.fill("thin matrices")
    field.press("Enter")
    expect(entry.get_by_role("heading", name="LoRA")).to_be_visible(timeout=TURN)
    expect(page).to_have_url(re.compile("c11_find=thin"))
    game = page.locator(".st-key-c11_game_bench")
    game.get_by_role("radio").first.check(force=True)
    expect(game.get_by_text(re.compile("of 1 rounds"))).to_be_visible(timeout=TURN)
