"""In a real browser: no link, image or element is made of what a run, a note or a link says; it reads as typed."""

import json
import re
import shutil
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from gptcore.files import write_json
from gptcore.runs.run import Run, rename, request_file
from tests.app.test_outside_text import CORPUS, FINISHED, HOSTILE, NAME, NOTE

MINUTE = 60_000
# Code spans of a note stay: the library's own notes name fields in them, and nothing in one is read.
SHOWN = " ".join(text for name, text in HOSTILE.items() if name not in ("control", "code"))
MADE = "a[href*='evil'], img[src*='evil'], script:text('alert'), [style*='color: red'] "


@pytest.fixture
def hostile_runs(server):
    """Two finished runs on the server whose every text is hostile."""
    runs = [Run(server.runs / name) for name in ("one_hostile", "two_hostile")]
    for run in runs:
        shutil.copytree(FINISHED, run.folder)
        config = json.loads((run.folder / "config.json").read_text())
        config |= {"notes": [NOTE, SHOWN], "corpus_name": CORPUS}
        (run.folder / "config.json").write_text(json.dumps(config))
        write_json(request_file(run.folder), {"owners": ["home"], "asked": 1.0})
        rename(run, NAME)
    yield runs
    for run in runs:
        shutil.rmtree(run.folder)
        request_file(run.folder).unlink()


def text_of(page, selector: str) -> list[str]:
    """What a reader sees in these elements, line ends and the invisible joiner aside."""
    found = page.locator(selector).all_text_contents()
    return [" ".join(text.replace("\u2060", "").split()) for text in found]


def test_a_hostile_run_is_text_from_its_name_to_its_notes(server, page, hostile_runs):
    asked = urlencode({"run": "one_hostile", "runs_compared": "one_hostile,two_hostile", "note": NOTE})
    page.goto(f"{server.url}/runs?{asked}")
    expect(page.get_by_text("Make a lesson link")).to_be_visible(timeout=2 * MINUTE)
    expect(page.locator(".st-key-runs_comparison .js-plotly-plot .legendtext").first).to_be_visible()
    captions = text_of(page, "[data-testid=stCaptionContainer]")
    assert NOTE in captions
    assert " ".join(SHOWN.split()) in captions
    assert any(text.startswith(NAME) for text in captions)
    assert NOTE in text_of(page, "[data-testid=stText]")
    legend = text_of(page, ".st-key-runs_comparison .legendtext")
    assert len(legend) == 2 and all(text.startswith(NAME) for text in legend)
    assert page.locator(MADE).count() == 0
    assert (
        page.locator(
            "[data-testid=stMain] [data-testid=stCaptionContainer] :is(strong, em, del, .katex, h1, li, code)"
        ).count()
        == 0
    )


def test_a_refused_value_goes_and_the_control_is_bound_once_it_is_moved(server, page):
    page.goto(f"{server.url}/attention?c5_flow_t=1_7")
    expect(page.get_by_text("c5_flow_t=1_7")).to_be_visible(timeout=2 * MINUTE)
    slider = page.locator(".st-key-c5_flow_t").get_by_role("slider")
    slider.focus()
    slider.press("ArrowRight")
    expect(page.get_by_text("c5_flow_t=1_7")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"[?&]c5_flow_t=[0-9]+$"))
