"""Chapter 9 in a real browser: the race and its verdict, writing and stopping, the link."""

import re

from playwright.sync_api import expect

TURN = 120_000


def test_two_lanes_are_measured_replayed_and_found_identical(server, page):
    page.goto(f"{server.url}/inference?c9_new=48")
    expect(page.get_by_text("48 of 48 token ids identical")).to_be_visible(timeout=TURN)
    lanes = page.locator(".st-key-c9_lanes .lane")
    expect(lanes).to_have_count(2)
    page.locator(".st-key-c9_lanes .again button").click()
    for place in range(2):
        expect(lanes.nth(place).locator(".clock")).to_contain_text("48 tokens", timeout=TURN)
    texts = [lanes.nth(place).locator(".text").text_content() for place in range(2)]
    assert texts[0] == texts[1]


def test_the_race_runs_again_when_asked(server, page):
    page.goto(f"{server.url}/inference?c9_new=16")
    expect(page.get_by_text("16 of 16 token ids identical")).to_be_visible(timeout=TURN)
    field = page.get_by_label("Prompt for both lanes")
    field.fill("Long ago")
    field.press("Enter")
    expect(page.get_by_text("have changed since")).to_be_visible(timeout=TURN)
    page.get_by_role("button", name="Measure both lanes").click()
    expect(page.locator(".st-key-c9_lanes .given").first).to_have_text("Long ago", timeout=TURN)


def test_a_text_is_written_and_a_link_opens_the_same_dials(server, page):
    page.goto(f"{server.url}/inference?c9_new=8&c9_length=40&c9_top_k=5&c9_past=slide&c9_text=Long+ago")
    expect(page.get_by_text("5 of 2,048 tokens")).to_be_visible(timeout=TURN)
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_text(re.compile("at [0-9,]+ tokens per second"))).to_be_visible(timeout=TURN)
    expect(page.get_by_label("Your prompt")).to_have_value("Long ago")
    assert "c9_top_k=5" in page.url


def test_a_lab_answers_to_its_link_and_a_prediction_is_judged(server, page):
    page.goto(f"{server.url}/inference?c9_new=8&c9_more_bytes=true&c9_bytes_model=LLaMA+2+7B")
    expect(page.get_by_text("The cache takes 2.15 GB")).to_be_visible(timeout=TURN)
    box = page.locator(".st-key-c9_bytes_predict")
    box.get_by_text("A tenth", exact=True).click()
    expect(box.get_by_text("layers times key/value heads")).to_be_visible(timeout=TURN)


def test_a_beam_is_drawn_and_guesses_are_told_apart(server, page):
    page.goto(
        f"{server.url}/inference?c9_new=8&c9_beam_width=1&c9_ahead_k=6&hide=example,code,diagram,measured,check"
    )
    beam = page.locator(".st-key-c9_beam_bench")
    expect(beam.get_by_text("Greedy decoding and beam search agree here")).to_be_visible(timeout=TURN)
    expect(beam.locator(".annotation-text").first).to_be_visible(timeout=TURN)
    strip = page.locator(".st-key-c9_ahead_strip")
    expect(strip.locator(".chip.kept").first).to_be_visible(timeout=TURN)
    cycles = strip.locator(".chip.new").count()
    expect(strip.locator(".chip.count")).to_have_count(cycles)
    expect(page.get_by_text(re.compile(f"32 tokens in {cycles} passes"))).to_be_visible(timeout=TURN)
