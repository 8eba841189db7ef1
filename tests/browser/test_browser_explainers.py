"""The explainers in a real browser: from a chapter to a topic, a slider, new output and figure, the next one."""

import re

from playwright.sync_api import expect

TURN = 120_000
TOPIC = "why-divide-by-root-d"


def test_a_slider_runs_the_block_and_the_next_topic_opens(server, page):
    page.goto(f"{server.url}/explainers")
    main = page.get_by_test_id("stMainBlockContainer")
    main.get_by_role("button", name="Why attention divides by √d").click()
    expect(main.get_by_role("heading", name="Why attention divides by √d")).to_be_visible(timeout=TURN)
    expect(page).to_have_url(re.compile(f"topic={TOPIC}"), timeout=TURN)
    block = page.locator(f".st-key-block_{TOPIC}_1")
    expect(block.get_by_text("d = 64, 32 keys")).to_be_visible(timeout=TURN)
    expect(block.locator(".js-plotly-plot")).to_be_visible(timeout=TURN)
    block.get_by_role("slider").first.focus()
    page.keyboard.press("ArrowRight")
    expect(block.get_by_text("d = 128, 32 keys")).to_be_visible(timeout=TURN)
    expect(page).to_have_url(re.compile(f"{TOPIC}_1_d_k=128"), timeout=TURN)
    expect(block.locator(".js-plotly-plot")).to_be_visible(timeout=TURN)
    main.get_by_role("button", name=re.compile("Next: ")).click()
    expect(main.get_by_role("heading", name="Causal masking")).to_be_visible(timeout=TURN)
    expect(page).to_have_url(re.compile("topic=causal-masking"), timeout=TURN)


def test_a_link_opens_a_topic_with_its_values_and_refuses_illegal_ones(server, page):
    page.goto(f"{server.url}/explainers?topic={TOPIC}&{TOPIC}_2_spread=3.5")
    block = page.locator(f".st-key-block_{TOPIC}_2")
    expect(block.get_by_text("spread = 3.5")).to_be_visible(timeout=TURN)
    page.goto(f"{server.url}/explainers?topic={TOPIC}&{TOPIC}_2_spread=99")
    expect(page.get_by_text("which is not used")).to_be_visible(timeout=TURN)


def test_a_chapter_leads_to_its_explainers(server, page):
    page.goto(f"{server.url}/attention")
    link = page.get_by_test_id("stMainBlockContainer").locator(f'a[href*="topic={TOPIC}"]').first
    link.click(timeout=TURN)
    heading = page.get_by_role("heading", name="Why attention divides by √d")
    expect(heading).to_be_visible(timeout=TURN)
