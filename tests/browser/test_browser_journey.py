"""The journey in a real browser: by keyboard, by clicks on any number, as a motion, and as files to keep."""

import math
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from gptcore.tracing import trace
from pages.kit import models

TURN = 120_000
MOST_MILLISECONDS = 200  # for a step, from the key to the drawn panel; the middle one of eleven
TEXT = "Tom and Mira went to the river."
QUERY, HEAD, KEY = 4, 3, 2  # from 1, as the page counts


def opened(server, page, **parameters):
    link = "&".join(f"{name}={value}" for name, value in parameters.items())
    page.goto(f"{server.url}/journey?j_text={TEXT.replace(' ', '+')}&{link}")
    grid = page.get_by_role("grid")
    expect(grid).to_be_visible(timeout=TURN)
    return grid, page.get_by_role("region", name="The stage on view")


def at_rest(page):
    expect(page.locator("[data-testid=stApp]")).to_have_attribute(
        "data-test-script-state", "notRunning", timeout=TURN
    )


def test_a_journey_by_keyboard(server, page):
    grid, panel = opened(server, page, j_token=3, j_stage="embedding")
    expect(panel.get_by_role("heading")).to_have_text("embedding")
    grid.focus()
    page.keyboard.press("ArrowDown")
    expect(panel.get_by_role("heading")).to_have_text("normed")
    took = []
    for _ in range(11):
        page.keyboard.press("ArrowDown")
        took.append(float(page.locator(".trace-map").get_attribute("data-milliseconds")))
    assert sorted(took)[5] < MOST_MILLISECONDS
    page.keyboard.press("ArrowRight")
    cell = page.locator("[role=gridcell]")
    expect(cell).to_have_attribute("aria-colindex", "4")
    expect(cell).to_have_attribute("aria-rowindex", "13")

    page.keyboard.press("PageUp")
    expect(panel.get_by_role("heading")).to_have_text("embedding")
    panel.get_by_label("Number", exact=True).fill("2")
    page.keyboard.press("Tab")
    grid.focus()
    page.keyboard.press("Enter")  # into the numbers of the stage
    page.keyboard.press("ArrowRight")
    expect(panel.locator(".cellname")).to_have_text("␣Mira (4), number 3 of 128")
    page.keyboard.press("Escape")
    expect(grid).to_be_focused()

    where = page.get_by_role("navigation", name="Position on the map")
    expect(where.get_by_role("button")).to_have_text(["Model", "embedding", "token 4 ␣Mira, number 3"])
    for zoom in ("block", "stage", "cell"):
        page.keyboard.press("+")
        expect(page.locator(".trace-map")).to_have_attribute("data-zoom", zoom)
    page.keyboard.press("ArrowRight")
    expect(panel.locator(".cellname")).to_have_text("␣Mira (4), number 4 of 128")
    where.get_by_role("button", name="Model").press("Enter")
    expect(page.locator(".trace-map")).to_have_attribute("data-zoom", "model")
    grid.focus()
    page.keyboard.press("End")
    expect(panel.get_by_role("heading")).to_have_text("probabilities")
    expect(page).to_have_url(re.compile("j_stage=probabilities"), timeout=TURN)
    expect(page).to_have_url(re.compile("j_token=4"))


def number(text: str) -> float:
    return float(text.replace("−", "-"))


@pytest.fixture(scope="module")
def seen():
    model, tokenizer = models.shipped().load()
    return trace(model, tokenizer.encode(TEXT))


def test_any_number_answers_with_its_own_operands(server, page, seen):
    """A click in a picture, numbers typed, an operand followed: what is said is in the trace, head, row and column."""
    _, panel = opened(server, page, j_stage="layers.1.attention.scores", j_token=6)
    for label, value in (("Query", QUERY), ("Head", HEAD), ("Key", KEY)):
        panel.get_by_label(label, exact=True).fill(str(value))
        panel.get_by_label(label, exact=True).press("Enter")
    part = "layers.1.attention."
    q = seen[f"{part}q_rotated"][0, HEAD - 1, QUERY - 1].tolist()
    k = seen[f"{part}k_rotated"][0, HEAD - 1, KEY - 1].tolist()
    answer = panel.locator(".sum")
    expect(answer.locator(".cellname")).to_have_text(f"Head {HEAD}, query ␣Mira (4), key om (2)")
    expect(answer.locator(".operand")).to_have_count(6, timeout=TURN)
    terms = [number(one) for one in answer.locator(".operand").all_inner_texts()]
    largest = sorted(zip(q, k), key=lambda pair: -abs(pair[0] * pair[1]))[:3]
    assert terms == pytest.approx([x for pair in largest for x in pair], rel=6e-3)
    score = sum(a * b for a, b in zip(q, k)) / math.sqrt(len(q))
    assert number(answer.locator(".result").inner_text()) == pytest.approx(score, rel=6e-3)
    expect(page).to_have_url(re.compile(f"j_cell_head={HEAD}&j_cell={KEY}"), timeout=TURN)

    answer.locator(".operand").nth(1).click()  # from the score to the key that it was made from
    expect(panel.get_by_role("heading")).to_have_text("key, rotated")
    assert number(answer.locator(".result").inner_text()) == terms[1]

    panel.get_by_role("button", name="key", exact=True).click()  # made from
    cells = panel.locator(".cells")
    size = cells.bounding_box()
    n_tokens, column, row = len(seen["embedding"][0]), 70, 5  # head 3 of 4, number 7 of 32
    cells.click(
        position={"x": (column + 0.5) * size["width"] / 128, "y": (row + 0.5) * size["height"] / n_tokens}
    )
    expect(answer.locator(".cellname")).to_have_text("␣to (6), head 3, number 7 of 32")
    expect(answer).to_have_attribute("data-form", "product", timeout=TURN)
    key = float(seen[f"{part}k"][0, 2, row, 6])
    assert number(answer.locator(".result").inner_text()) == pytest.approx(key, rel=6e-3)
    printed = re.findall(r"−?\d+(?:\.\d+)?(?:e−?\d+)?", answer.locator(".line").first.inner_text())
    a, b, c, d, e, f, n_more, rest, result = map(number, printed)
    assert a * b + c * d + e * f + rest == pytest.approx(result, abs=0.05)  # as printed, to three figures
    assert n_more == 125


def test_the_pass_plays_without_a_rerun_and_its_files_are_made_in_the_browser(server, page, tmp_path):
    sent = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    opened(server, page, j_stage="embedding", j_token=3)
    at_rest(page)
    root = page.locator(".trace-map")
    begun = len(sent)
    page.get_by_role("button", name="Play").click()
    moments = []
    for frames in (5, 15, 25):
        root.evaluate(
            "(root, least) => new Promise(done => { const wait = () => +root.dataset.frames >= least ? done() : "
            "requestAnimationFrame(wait); wait() })",
            frames,
        )
        moments.append(
            root.evaluate("root => [performance.now() / 1000, +root.dataset.time, +root.dataset.frames]")
        )
    for (clock, time, _), (later, further, _) in pairwise(moments):
        assert 0 < further - time <= later - clock + 0.3
    assert len(sent) == begun
    page.get_by_role("button", name="Pause").click()
    frame = float(root.get_attribute("data-frame"))
    assert frame > 0
    print(f"the journey plays at {1000 / frame:.0f} frames a second, by the median frame")

    slider = page.get_by_role("slider", name="Time in the pass")
    slider.evaluate("one => { one.value = 12_000; one.dispatchEvent(new Event('input')) }")
    assert float(root.evaluate("root => root.querySelector('input[type=range]').value")) == 12_000
    expect(page.locator(".slot")).to_have_class("slot open")  # the next token has not been computed yet
    slider.evaluate("one => { one.value = one.max; one.dispatchEvent(new Event('input')) }")
    expect(page.locator(".slot")).to_have_class("slot")

    slider.evaluate(
        "one => one.dispatchEvent(new Event('change'))"
    )  # a rerun is under way while the files are made
    with page.expect_download() as download:
        page.get_by_role("button", name="This view as SVG").press("Enter")
    drawn = ElementTree.fromstring(download.value.path().read_text(encoding="utf-8"))
    words = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"om", "␣Mira", "Block 4"} <= set(words)
    with page.expect_download() as download:
        page.get_by_role("button", name="The whole journey as one HTML file").press("Enter")
    kept = tmp_path / "journey.html"
    download.value.save_as(kept)
    page.goto(kept.as_uri())
    panel = page.get_by_role("region", name="The stage on view")
    expect(panel.get_by_role("heading")).to_have_text("probabilities")
    expect(panel.locator(".result")).to_be_visible()
