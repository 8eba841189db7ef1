"""Runs in a real browser: whose they are, what outlives the server, what a figure keeps."""

import os
import re
import signal

import pytest
from playwright.sync_api import expect

from gptcore.runs.run import Run
from tests.app.test_page_runs import write_run
from tests.browser.conftest import complaints, end_runs, new_visitor, start_server, stop_server

MINUTE = 60_000
CHAPTER = "/training?c8_size=pico&c8_seconds={seconds}&c8_seed={seed}"
LOSS = ".st-key-{prefix}_loss .js-plotly-plot"


def bar(page):
    return page.get_by_test_id("stProgress").last  # a redrawn one may stand next to the old one for a moment


def button(page, name: str):
    return page.get_by_test_id("stMainBlockContainer").get_by_role("button", name=name, exact=True)


def start(page, server, seconds: int, seed: int) -> str:
    """Start a run and return its id once its first step is on the page."""
    page.goto(server.url + CHAPTER.format(seconds=seconds, seed=seed))
    button(page, "Start training").click()
    expect(bar(page)).to_contain_text("Step", timeout=2 * MINUTE)
    return re.search("run=([a-z0-9]+)", page.url)[1]


def points(page, prefix: str = "c8", place: int = -1) -> int:
    """The last step drawn, or the first, once the newest loss figure has something drawn in it."""
    read = "([loss, place]) => [...document.querySelectorAll(loss)].at(-1)?.data?.[0]?.x?.at(place)"
    return page.wait_for_function(read, arg=[LOSS.format(prefix=prefix), place]).json_value()


def wait_for_ticks(page, n: int) -> None:
    """Wait until the progress of the run has been drawn anew so many times."""
    for _ in range(n):
        expect(bar(page)).not_to_have_text(bar(page).inner_text(), timeout=MINUTE)


@pytest.fixture
def hosted(chromium, tmp_path, monkeypatch):
    """A server for strangers."""
    monkeypatch.setenv("GLASSBOX_HOSTED", "1")
    server = start_server(tmp_path)
    yield server
    server.process.kill()
    end_runs(server)
    assert not complaints(server)


@pytest.fixture
def browsers(chromium):
    """A page of each of two browsers: neither has the other's cookie. One may see its server vanish."""
    contexts = [new_visitor(chromium) for _ in range(2)]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.set_default_timeout(MINUTE)
    yield pages
    for context in contexts:
        context.close()


def test_a_run_has_an_owner_and_outlives_the_server(hosted, browsers, tmp_path):
    page, stranger = browsers
    run_id = start(page, hosted, 300, 1)
    run = Run(hosted.runs / run_id)

    # Another browser sees it by its link, and can do nothing to it.
    stranger.goto(f"{hosted.url}/runs?run={run_id}")
    expect(bar(stranger)).to_contain_text("Step", timeout=2 * MINUTE)
    expect(stranger.get_by_text("Only the browser that started it can control it")).to_be_visible()
    for name in ("Pause", "Stop"):
        expect(button(stranger, name)).to_be_disabled()
    expect(button(stranger, "Delete")).to_have_count(0)

    # Its owner pauses it and goes on.
    button(page, "Pause").click()
    expect(bar(page)).to_contain_text("Paused at step", timeout=MINUTE)
    assert run.state() == "paused"
    paused_at = run.last_event()["step"]
    button(page, "Resume").click()
    expect(bar(page)).to_contain_text(re.compile("Step .* left"), timeout=MINUTE)

    # The server is killed; the run goes on, and a new server shows all of it.
    hosted.process.send_signal(signal.SIGKILL)
    hosted.process.wait(20)
    assert run.state() == "running"
    before = run.last_event()["step"]
    again = start_server(tmp_path)
    try:
        page.goto(f"{again.url}/training?run={run_id}")
        expect(bar(page)).to_contain_text("Step", timeout=2 * MINUTE)
        expect(page.locator(LOSS.format(prefix="c8")).last).to_be_visible(timeout=MINUTE)
        assert points(page) >= max(before, paused_at)
        assert points(page, place=0) <= 10
        button(page, "Stop").click()
        expect(bar(page)).to_contain_text("Stopped by you", timeout=MINUTE)
        steps = [event["step"] for event in run.events()[0] if event["event"] == "step"]
        assert steps == list(range(1, steps[-1] + 1))
    finally:
        stop_server(again)
    assert not complaints(again)


def test_curves_move_unless_they_are_frozen_and_then_keep_their_zoom(server, page):
    start(page, server, 30, 2)
    expect(page.get_by_text(re.compile("Generated text at step"))).to_be_visible(timeout=MINUTE)
    page.get_by_text("Freeze the curves").click()
    wait_for_ticks(page, 2)  # the first may have begun before the click
    plot = page.locator(LOSS.format(prefix="c8")).last
    drag = plot.locator(".nsewdrag").first
    drag.hover()  # which brings it into view and waits until it no longer moves
    area = drag.bounding_box()
    page.mouse.move(area["x"] + 0.2 * area["width"], area["y"] + 0.2 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.6 * area["width"], area["y"] + 0.8 * area["height"], steps=5)
    page.mouse.up()
    read = "plot => [plot._fullLayout.xaxis.range, plot._fullLayout.yaxis.range].flat().map(Number)"
    loss = LOSS.format(prefix="c8")
    page.wait_for_function(
        "loss => [...document.querySelectorAll(loss)].at(-1)._fullLayout.xaxis.range[0] > 0", arg=loss
    )
    zoomed = plot.evaluate(read)
    assert zoomed[0] > 0
    wait_for_ticks(page, 3)
    assert page.locator(LOSS.format(prefix="c8")).last.evaluate(read) == pytest.approx(zoomed)
    before = points(page)
    page.get_by_text("Freeze the curves").click()
    page.wait_for_function(
        "([loss, before]) => [...document.querySelectorAll(loss)].at(-1)?.data?.[0]?.x?.at(-1) > before",
        arg=[LOSS.format(prefix="c8"), before],
    )
    button(page, "Stop").click()
    expect(bar(page)).to_contain_text(re.compile("Stopped by you|Done"), timeout=MINUTE)


def test_two_runs_are_compared_and_the_choice_is_in_the_link(server, page):
    ids = ["compared0one", "compared0two"]
    for place, run_id in enumerate(ids):
        write_run(server.runs / run_id, name=f"run {place}", learning_rate=0.1 * (place + 1))
    page.goto(f"{server.url}/runs?runs_compared={','.join(ids)}")
    plot = page.locator(".st-key-runs_comparison .js-plotly-plot").last
    expect(plot).to_be_visible(timeout=MINUTE)
    compared = "document.querySelector('.st-key-runs_comparison .js-plotly-plot')?.data?.length === 4"
    page.wait_for_function(compared)
    page.locator(".st-key-runs_against").get_by_text("seconds", exact=True).click()
    expect(plot).to_contain_text("training time in seconds", timeout=MINUTE)
    assert "runs_against=seconds" in page.url and ids[0] in page.url
    if folder := os.environ.get("GLASSBOX_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/runs.png", full_page=True)
