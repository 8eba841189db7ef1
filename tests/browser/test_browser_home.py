"""The front page in a real browser: the whole living model in the first screen, and what one does there moves it."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pages.kit.living_model import FIRST_START, first_text

TURN = 60_000
FINISHED = Path(__file__).resolve().parents[1] / "first_edition" / "runs" / "finished"
IDLE = "document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
# From here on, counts how often the state of the script changes.
COUNT_RERUNS = """
window.reruns = 0
new MutationObserver(() => { window.reruns += 1 }).observe(
  document.querySelector('[data-testid=stApp]'), { attributes: true, attributeFilter: ["data-test-script-state"] })
"""


def written(page) -> str:
    """The start and what has been written after it so far."""
    return "".join(page.locator(".living .text > span:not(.hidden)").all_text_contents())


@pytest.mark.parametrize("size", [(1440, 900), (400, 800)], ids=str)
def test_the_first_screen_holds_the_living_model_and_three_ways_in(size, server, page):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(server.url)
    expect(page.locator(".living .tools .play")).to_be_in_viewport(ratio=1, timeout=TURN)
    main = page.get_by_test_id("stMainBlockContainer")
    whole = [main.get_by_text("A language model with the lid off")]
    whole += [page.locator(f".living .{part}") for part in ("text", "map", "bars")]
    whole += [
        main.get_by_role("button", name=name) for name in ("Learn", "Train one now", "Explore the model")
    ]
    for part in whole:
        expect(part).to_be_in_viewport(ratio=1)
    layers = first_text()["steps"][0]["layers"]
    expect(page.locator(".living .map .layer")).to_have_count(len(layers))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    # It writes what the file says, by itself, and without asking the server.
    page.wait_for_function(IDLE)
    page.evaluate(COUNT_RERUNS)
    tokens = page.locator(".living .text > span:not(.hidden)")
    before = written(page)
    expect(tokens).not_to_have_count(tokens.count(), timeout=TURN)
    after = written(page)
    assert len(after) > len(before)
    assert (FIRST_START + "".join(step["token"] for step in first_text()["steps"])).startswith(after)
    assert page.evaluate("window.reruns") == 0


def test_a_swapped_name_and_a_chosen_token_change_the_text_in_the_same_screen(server, page):
    page.goto(server.url)
    living = page.locator(".living")
    living.get_by_role("button", name="Mira").click()
    expect(living.locator("input.start")).to_have_value(FIRST_START.replace("Mira", "Tom"), timeout=TURN)
    expect(living.locator(".written").first).to_have_text(" he", timeout=TURN)
    living.get_by_role("button", name="Pause").click()
    position = living.get_by_role("slider", name="Token")
    position.fill("2")
    chosen = living.locator(".bars .row").nth(2)
    token = chosen.locator(".word").text_content().replace("␣", " ")
    chosen.click()
    expect(living.locator("input.start")).to_have_value(
        FIRST_START.replace("Mira", "Tom") + " he" + token, timeout=TURN
    )
    expect(page).to_have_url(re.compile("home_start="))
    expect(living.locator(".bars")).to_be_in_viewport()


def test_at_reduced_motion_it_goes_by_steps_that_name_what_each_part_adds(server, page):
    page.emulate_media(reduced_motion="reduce")
    page.goto(server.url)
    living = page.locator(".living")
    step, readout = living.get_by_role("button", name="Step"), living.locator(".readout")
    expect(readout).to_contain_text("␣morning goes in", timeout=TURN)
    layers = first_text()["steps"][0]["layers"]
    step.focus()
    page.keyboard.press("Enter")
    for number, layer in enumerate(layers, start=1):
        for part in ("attention", "feedforward"):
            page.keyboard.press("Enter")
            expect(readout).to_contain_text(f"Layer {number}, {part.replace('df', 'd-f')}")
            expect(readout).to_contain_text(f"{layer[part]:.1f}")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(readout).to_contain_text("is written")
    assert written(page) == FIRST_START + first_text()["steps"][0]["token"]


def test_the_model_in_use_survives_a_plain_reload_and_there_is_a_way_back(server, page):
    shutil.copytree(FINISHED, server.runs / "finished", dirs_exist_ok=True)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{server.url}/?model=finished")
    note, back = page.locator(".living .note"), page.get_by_role("button", name="Use the shipped model")
    expect(back).to_be_visible(timeout=TURN)
    expect(page.get_by_text("Upload a model")).to_be_in_viewport(ratio=1)
    expect(note).not_to_contain_text("shipped", timeout=TURN)
    page.wait_for_function("document.cookie.includes('glassbox_model=finished')")
    page.goto(f"{server.url}/runs")
    expect(page.get_by_text("Parts that use another model say so.")).to_be_visible(timeout=TURN)
    back.click()
    expect(back).to_have_count(0, timeout=TURN)
    page.wait_for_function("!document.cookie.includes('glassbox_model=finished')")
    page.goto(server.url)
    expect(note).to_contain_text("shipped with Glassbox", timeout=TURN)
