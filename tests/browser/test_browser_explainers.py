"""The explainers in a real browser: from a chapter to a topic, a slider, new output and figure, the next one."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import serious_findings

TURN = 120_000
TOPIC = "why-divide-by-root-d"


def test_from_a_chapter_to_a_topic_through_a_slider_to_the_next(server, page):
    """One journey in one tab: a second opening of the app would cost more than all the rest."""
    main = page.get_by_test_id("stMainBlockContainer")
    page.goto(f"{server.url}/attention?hide=analogy,example,code,diagram,lab,measured,check")
    main.locator(f'a[href*="topic={TOPIC}"]').first.click(timeout=TURN)
    expect(main.get_by_role("heading", name="Why attention divides by √d")).to_be_visible(timeout=TURN)
    expect(page).to_have_url(re.compile(f"topic={TOPIC}"), timeout=TURN)

    block = page.locator(f".st-key-block_{TOPIC}_1")
    expect(block.get_by_text("d = 64, 32 keys")).to_be_visible(timeout=TURN)
    figure = block.locator(".js-plotly-plot")
    expect(figure).to_be_visible(timeout=TURN)
    block.get_by_role("slider").nth(1).focus()
    page.keyboard.press("ArrowRight")
    changed = "d = 64, 64 keys; uniform weights have an entropy of 4.16 nats"
    expect(block.get_by_text(changed)).to_be_visible(timeout=TURN)
    expect(page).to_have_url(re.compile(f"{TOPIC}_1_n_keys=64"), timeout=TURN)
    # With 64 keys there is more to choose from: the drawn entropies rise above what 32 can have.
    drawn = f"document.querySelector('.st-key-block_{TOPIC}_1 .js-plotly-plot')?.data?.[1].y"
    page.wait_for_function(f"Math.max(...{drawn} ?? [0]) > Math.log(32)", timeout=TURN)

    main.get_by_role("button", name=re.compile("Next: ")).click()
    expect(main.get_by_role("heading", name="Causal masking")).to_be_visible(timeout=TURN)
    expect(page).to_have_url(re.compile("topic=causal-masking"), timeout=TURN)

    page.goto(f"{server.url}/explainers?topic={TOPIC}&{TOPIC}_1_d_k=99&{TOPIC}_2_spread=3.5")
    expect(page.get_by_text("which was ignored")).to_be_visible(timeout=TURN)
    expect(page.locator(f".st-key-block_{TOPIC}_2").get_by_text("spread = 3.5")).to_be_visible(timeout=TURN)
    assert not serious_findings(page)
