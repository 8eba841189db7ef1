"""Chapter 8 in a real browser: what only a browser can show."""

import re

from playwright.sync_api import expect

from pages.kit.book import TABLE
from pages.labs.training.diagnosis_game import hidden_fault

MINUTE = 60_000
CHAPTER = "/training?c8_size=pico&c8_seconds={seconds}"


def bar(page):
    return page.get_by_test_id("stProgress")


def start(page, server, seconds: int) -> str:
    """Start a run and wait until the page shows it and no other; return its id."""
    page.goto(server.url + CHAPTER.format(seconds=seconds))
    button = page.get_by_role("button", name="Start training")
    expect(button).to_be_enabled(timeout=2 * MINUTE)
    button.evaluate(
        "button => button.scrollIntoView({block: 'center'})"
    )  # a click alone leaves it at the edge
    button.click()
    expect(bar(page)).to_be_in_viewport(ratio=1, timeout=MINUTE)
    expect(stop_button(page)).to_be_in_viewport(ratio=1)
    page.wait_for_url(re.compile("run="), timeout=2 * MINUTE)
    expect(bar(page)).to_contain_text("Step", timeout=2 * MINUTE)
    return re.search("run=([a-z0-9]+)", page.url)[1]


def stop_button(page):
    # Streamlit's own header has a button of this name while a script runs.
    return page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Stop", exact=True)


def test_a_run_outlives_a_reload_and_its_model_goes_on_every_page_once_it_is_stopped(server, page):
    before = set(server.runs.glob("*/events.jsonl"))
    run = start(page, server, 300)
    page.reload()
    expect(bar(page)).to_contain_text("Step", timeout=2 * MINUTE)
    assert f"run={run}" in page.url
    other = page.context.new_page()
    other.goto(f"{server.url}/training")
    expect(other.get_by_test_id("stProgress")).to_contain_text("Step", timeout=2 * MINUTE)
    other.close()
    page.get_by_test_id("stSidebarNav").get_by_role("link").last.click()
    expect(page.get_by_role("heading", name=TABLE[-1].title, level=1)).to_be_visible(timeout=MINUTE)
    assert f"run={run}" in page.url
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Training").click()
    expect(bar(page)).to_contain_text(re.compile("Step|Done"), timeout=2 * MINUTE)
    assert f"run={run}" in page.url
    started = set(server.runs.glob("*/events.jsonl")) - before
    assert {log.parent.name for log in started} == {run}
    stop_button(page).click()
    expect(bar(page)).to_contain_text("Stopped by you", timeout=MINUTE)
    assert (server.runs / run / "latest" / "model.safetensors").exists()
    page.get_by_role("button", name="Use this model on every page").click()
    expect(page.get_by_role("button", name="In use on every page")).to_be_disabled()
    assert f"model={run}" in page.url
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the model").click()
    assert download.value.suggested_filename.endswith(".zip")
    page.get_by_test_id("stSidebarNav").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name=TABLE[0].title, level=1)).to_be_visible(timeout=MINUTE)
    expect(page.get_by_role("combobox", name="Model in use")).to_have_value(re.compile(run[:4]))


def test_a_refused_value_of_a_link_is_told(server, page):
    page.goto(f"{server.url}/training?c8_n_heads=99&c8_size=pico")
    expect(page.get_by_text("The link asks for c8_n_heads=99")).to_be_visible()
    expect(page.get_by_text("from 1 to 16")).to_be_visible()
    assert "c8_size=pico" in page.url


def test_nothing_is_wider_than_a_phone(server, page):
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(f"{server.url}/training")
    expect(page.get_by_role("button", name="Start training")).to_be_visible(timeout=2 * MINUTE)
    main = page.get_by_test_id("stMain")
    assert main.evaluate("main => main.scrollWidth <= main.clientWidth")


def test_a_prediction_about_the_time_machine_is_judged(server, page):
    page.goto(f"{server.url}/training")
    box = page.locator(".st-key-c8_time_predict")
    box.get_by_text("Together, as the loss falls").click(timeout=2 * MINUTE)
    expect(box.get_by_text("The scores reach half of their final values in this order")).to_be_visible(
        timeout=MINUTE
    )


def test_a_hidden_fault_is_watched_told_and_agrees_with_the_rule(server, page):
    truth = hidden_fault(1)
    page.goto(f"{server.url}/training")
    game = page.locator(".st-key-c8_case_bench")
    tell = game.get_by_role("button", name="Submit diagnosis")
    expect(tell).to_be_disabled(timeout=2 * MINUTE)
    game.get_by_role("button", name="Train this run").click()
    expect(game.locator(".st-key-c8_case_norm .js-plotly-plot")).to_be_visible(timeout=2 * MINUTE)
    game.get_by_role("radiogroup").get_by_text(truth).click()
    expect(tell).to_be_enabled(timeout=2 * MINUTE)
    expect(game.get_by_text("Diagnosis by the rule")).to_have_count(
        0
    )  # what the curves say is for the reader to find
    tell.click()
    expect(game.get_by_test_id("stAlert")).to_contain_text(f"Correct: {truth}")
    expect(game.get_by_text("Diagnosis by the rule")).to_contain_text(truth)
