"""Any cell of a heat map answers: clicked, chosen by keyboard or typed, its arithmetic is that of gptcore's tensors."""

import re
from functools import cache
from xml.etree import ElementTree

import pytest
import torch
from playwright.sync_api import expect

from gptcore.checkpoint import SHIPPED
from gptcore.experiments.measurements.positions import scores_by_position
from gptcore.formats import load
from gptcore.interpret import embedding_table, heads
from gptcore.tracing import trace
from pages.labs.positions.example import K, Q
from tests.browser.test_browser_figures import rows, saved

TURN = 120_000
TEXT = "Tom and Mira went to the river. Mira"


@cache
def shipped():
    model, tokenizer = load(SHIPPED)
    return model, tokenizer, trace(model, tokenizer.encode(TEXT))


def read(text: str) -> float:
    """A number as the page prints it."""
    text = text.replace("−", "-").replace(",", "")
    digits, _, power = text.partition("×10")
    raised = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    return float(digits) * 10 ** int(power.translate(raised) or 0)


def results(box) -> list[float]:
    """The results of a formula, line by line."""
    return [read(text) for text in box.locator(".answer .line b").all_inner_texts()]


def operands(box, name: str) -> list[float]:
    """A row of a formula's folded table."""
    row = box.locator("details tr").filter(has=box.page.locator("th", has_text=re.compile(f"^{name}$"))).first
    return [read(text) for text in row.locator("td").all_text_contents()]


def opened(page, url: str, key: str, tab: str = ""):
    page.goto(url)
    box = page.locator(f".st-key-{key}")
    if tab:
        page.get_by_role("tab", name=tab).click(timeout=TURN)
    expect(box.locator(".answer .title")).not_to_be_empty(timeout=TURN)
    box.scroll_into_view_if_needed()
    return box


def click(box, row: int, column: int) -> None:
    """Click the middle of a cell; both count from 0."""
    cells = box.locator("[role=grid]")
    size, at = (
        cells.bounding_box(),
        [int(cells.get_attribute(name)) for name in ("aria-rowcount", "aria-colcount")],
    )
    x, y = (column + 0.5) * size["width"] / at[1], (row + 0.5) * size["height"] / at[0]
    cells.click(position={"x": x, "y": y})


def near(want: float):
    return pytest.approx(want, rel=0.006, abs=6e-4)  # printed to three digits


def check_weight(box, layer: int, head: int, query: int, key: int) -> None:
    """Compare each line of an attention weight's formula with the traced tensors."""
    model, _, seen = shipped()
    scope = f"layers.{layer}.attention."
    kv = head * model.config.n_kv_heads // model.config.n_heads
    q, k = seen[f"{scope}q_rotated"][0, head, query], seen[f"{scope}k_rotated"][0, kv, key]
    scores = seen[f"{scope}scores"][0, head, query, : query + 1].exp()
    raw, score, below, weight = results(box)
    assert operands(box, "query") == near(q.tolist()) and operands(box, "key") == near(k.tolist())
    assert raw == near(float(q @ k)) and score == near(float(q @ k) * model.config.score_scale)
    assert below == near(float(scores.sum()))
    assert weight == near(float(seen[f"{scope}weights"][0, head, query, key]))


def test_cells_of_attention_answer_to_a_click_the_keyboard_and_typed_numbers(server, page):
    model, tokenizer, seen = shipped()
    n_heads, last = model.config.n_heads, len(tokenizer.encode(TEXT)) - 1
    url = f"{server.url}/attention?c5_heads_text={TEXT}&c5_more_flag=true&c5_more_habits=true"
    box = opened(page, url, "c5_heads_map")
    title = box.locator(".answer .title")
    click(box, 6, 3)  # layer 2, head 3
    expect(title).to_contain_text("Layer 2, head 3")
    expect(title).to_contain_text(re.compile(rf"position {last + 1}\), key ␣?\w+ \(position 4\)"))
    check_weight(box, *divmod(6, n_heads), last, 3)
    expect(page).to_have_url(re.compile("c5_heads_map_cell=7%2C4"))
    weight = seen["layers.1.attention.weights"][0, 2, last, 3]
    assert float(rows(box)[6 * (last + 1) + 3][-1]) == near(float(weight))  # of the CSV under the map
    picture = ElementTree.fromstring(saved(box, "Save picture as SVG"))
    assert picture.findall(".//{*}image") and len(picture.findall(".//{*}text")) > last

    page.get_by_role("tab", name="All attention weights of this head").click()
    square = page.locator(".st-key-c5_heads_square")
    click(square, 0, 0)
    expect(square.locator(".answer .title")).to_contain_text("(position 1)")
    for press in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight", "Enter"):
        page.keyboard.press(press)
    expect(square.locator(".answer .title")).to_contain_text(
        re.compile(r"\(position 4\), key .+ \(position 2\)")
    )
    expect(square.get_by_role("gridcell", selected=True)).to_have_attribute("aria-colindex", "2")
    expect(square.get_by_role("row")).to_have_attribute("aria-rowindex", "4")
    layer, head = (int(n) - 1 for n in re.findall(r"\d+", square.locator(".title").inner_text())[:2])
    check_weight(square, layer, head, 3, 1)
    square.get_by_label("Row").fill("6")
    square.get_by_label("Column").fill("5")
    square.get_by_label("Column").press("Enter")
    expect(square.locator(".answer .title")).to_contain_text(
        re.compile(r"\(position 6\), key .+ \(position 5\)")
    )
    check_weight(square, layer, head, 5, 4)

    # A slider of the lab moves: the chosen cell stays.
    page.locator(".st-key-c5_heads_at_strip button.chip").nth(8).click()
    expect(page).to_have_url(re.compile("c5_heads_at=9"))
    expect(title).to_contain_text(re.compile(r"position 9\), key .+ \(position 4\)"))
    check_weight(box, *divmod(6, n_heads), 8, 3)

    habit = page.locator(".st-key-c5_habit_prev")
    habit.scroll_into_view_if_needed()
    click(habit, 1, 2)
    expect(habit.locator(".answer .title")).to_contain_text("Layer 2, head 3")
    assert results(habit)[-1] == near(float(heads.previous_token(heads.weights(seen))[1, 2]))


def test_the_scores_of_positions_answer(server, page):
    box = opened(
        page,
        f"{server.url}/positions?c4_drag_vectors=of the example",
        "c4_drag_map",
        "Score by pair of positions",
    )
    click(box, 9, 2)
    expect(box.locator(".answer .title")).to_contain_text("position 9, key at position 2: distance 7")
    scores = scores_by_position(torch.tensor(Q[0]), torch.tensor(K[0]), 32)
    *_, score, above = results(box)
    assert score == near(float(scores[9, 2])) and above == near(float(scores[9, 2] - scores.mean()))


def test_the_rows_one_step_moves_answer(server, page):
    box = opened(page, f"{server.url}/embeddings", "c3_step_rows")
    click(box, 7, 2)
    expect(box.locator(".answer .title")).to_contain_text("Row 7, untied, AdamW")
    moved = embedding_table.single_update([3, 7, 7, 1, 4], embedding_table.WAYS[2])
    assert operands(box, "update") == near(moved.step[7].tolist())
    assert results(box)[-1] == near(float(moved.far[7]))


def test_the_logit_lens_answers(server, page):
    model, _, seen = shipped()
    box = opened(page, f"{server.url}/model?c7_lens_text={TEXT}", "c7_lens_map")
    click(box, 2, 4)
    expect(box.locator(".answer .title")).to_contain_text("at position 5, after layer 2")
    with torch.inference_mode():
        logits = model.output(model.final_norm(seen["layers.1.after_feedforward"][0, 4]))
    token = int(seen["logits"][0, 4].argmax())
    logit, below, probability = results(box)
    assert logit == near(float(logits[token])) and below == near(float(logits.exp().sum()))
    assert probability == near(float(logits.softmax(-1)[token]))
