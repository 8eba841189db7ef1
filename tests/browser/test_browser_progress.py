"""Progress in a real browser: what is answered in a fragment outlives the page, the tab and the server."""

import json
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from pages.kit import progress, quiz, visitor
from tests.browser.conftest import complaints, new_visitor, start_server, stop_server

MINUTE = 60_000
ATTENTION = {question.name: question for question in import_module("pages.labs.attention.quiz").questions(1)}


@pytest.fixture(scope="module")
def hosted(chromium, tmp_path_factory):
    """A server for strangers, which a test may replace by another one of the same folder and port."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLASSBOX_HOSTED", "1")
        servers = [start_server(tmp_path_factory.mktemp("hosted"))]
        yield servers
        stop_server(servers[-1])
    assert not complaints(servers[-1])


@pytest.fixture
def browser(chromium):
    """A browser nobody has used before."""
    context = new_visitor(chromium)
    context.set_default_timeout(MINUTE)
    yield context
    context.close()


def open_tab(browser, server, path: str):
    tab = browser.new_page()
    tab.goto(f"{server.url}/{path}")
    expect(tab.get_by_test_id("stSidebarNav")).to_be_visible(timeout=2 * MINUTE)
    return tab


def answer_number(tab, name: str) -> None:
    """Type the right answer to a question of chapter 5 that asks for a number."""
    tab.get_by_role("tab", name=f"Question {list(ATTENTION).index(name) + 1}", exact=True).click()
    field = tab.locator(f".st-key-c5_q_{name}_{quiz.SEED} input")
    field.fill(str(ATTENTION[name].right))
    field.press("Enter")


def is_kept(tab, *names: str) -> None:
    """Wait until the browser's cookie has the checks."""
    for name in names:
        tab.wait_for_function(f"document.cookie.includes({json.dumps(progress.BETWEEN + name)})")


def test_what_is_answered_in_fragments_survives_a_reload_another_tab_and_a_restart(hosted, browser):
    (server,) = hosted
    tab = open_tab(browser, server, "attention")
    answer_number(tab, "cache_bytes")
    expect(tab.get_by_text("1 of 8 answered")).to_be_visible()
    is_kept(tab, "c5.cache_bytes")
    tab.locator(".st-key-c5_scale_predict").get_by_test_id("stRadioOption").first.click()
    is_kept(tab, "c5.c5_scale.predicted")

    tab.reload()
    expect(tab.get_by_text("1 of 8 answered")).to_be_visible(timeout=2 * MINUTE)
    expect(tab.get_by_text("2 passed")).to_be_visible()

    other = open_tab(browser, server, "attention")
    expect(other.get_by_text("1 of 8 answered")).to_be_visible(timeout=2 * MINUTE)

    port = int(server.url.rpartition(":")[2])
    stop_server(server)
    assert not complaints(server)
    hosted[:] = [start_server(server.runs.parent, port)]
    for page in (tab, other):
        page.reload()
        expect(page.get_by_text("1 of 8 answered")).to_be_visible(timeout=2 * MINUTE)
        expect(page.get_by_text("2 passed")).to_be_visible()

    # The page on which the visitor stopped, though nothing on it was touched since it was opened.
    home = open_tab(browser, hosted[0], "")
    expect(home.get_by_role("button", name=re.compile("5 · Attention"))).to_be_visible(timeout=2 * MINUTE)


def test_two_tabs_take_nothing_from_each_other(hosted, browser):
    first, second = (open_tab(browser, hosted[0], "attention") for _ in range(2))
    answer_number(first, "cache_bytes")
    is_kept(first, "c5.cache_bytes")
    answer_number(second, "weights_saved")  # its session began before the first tab's answer
    is_kept(second, "c5.weights_saved", "c5.cache_bytes")
    first.reload()
    expect(first.get_by_text("2 of 8 answered")).to_be_visible(timeout=2 * MINUTE)


def test_games_keep_what_was_passed(hosted, browser):
    from pages.labs.glossary.game import deal

    tab = open_tab(browser, hosted[0], "glossary")
    false = next(place for place, dealt in enumerate(deal(quiz.SEED, 1)) if not dealt.true)
    game = tab.locator(f".st-key-c11_game_{quiz.SEED}_1")
    game.get_by_test_id("stRadioOption").nth(false).click()
    is_kept(tab, "c11.false_sentence")


def test_the_cookie_of_the_first_edition_is_read_and_a_chapter_is_done(hosted, browser):
    names = [f"c5.{name}" for name in ATTENTION if name != "cache_bytes"]
    old = quote(json.dumps({"passed": names, "last": "attention"}, separators=(",", ":")))
    browser.add_cookies([{"name": progress.COOKIE, "value": old, "url": hosted[0].url}])
    tab = open_tab(browser, hosted[0], "attention")
    answer_number(tab, "cache_bytes")
    expect(tab.get_by_text("8 of 8 answered")).to_be_visible()
    is_kept(tab, *names, "c5.cache_bytes", "done.5")
    tab.reload()
    link = tab.get_by_test_id("stSidebarNav").get_by_role("link", name="5 · Attention")
    expect(link).to_contain_text("check_circle", timeout=2 * MINUTE)


def test_a_full_cookie_loses_the_oldest_answers_and_no_chapter(hosted, browser):
    names = ["done.3", *(f"c3.an_answer_{number}" for number in range(400))]
    value = progress.BETWEEN.join(["attention", *names])[: progress.MOST_BYTES]
    browser.add_cookies([{"name": progress.COOKIE, "value": value, "url": hosted[0].url}])
    tab = open_tab(browser, hosted[0], "attention")
    answer_number(tab, "cache_bytes")
    is_kept(tab, "c5.cache_bytes", "done.3", "c3.an_answer_100")
    kept = {cookie["name"]: cookie["value"] for cookie in browser.cookies()}[progress.COOKIE]
    assert len(kept) <= progress.MOST_BYTES and "c3.an_answer_0" not in kept.split(progress.BETWEEN)


@pytest.fixture
def course_page(hosted, tmp_path):
    """The address of another site's page that shows the app in a frame."""
    source = hosted[0].url.replace("127.0.0.1", "localhost")
    frame = f'<iframe src="{source}/attention" width="1300" height="850"></iframe>'
    (tmp_path / "index.html").write_text(f"<!doctype html><title>A course</title>{frame}", encoding="utf-8")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *said):
            """Write no line for each request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def test_progress_and_the_visitor_are_kept_in_a_frame_of_another_site(course_page, browser):
    tab = browser.new_page()
    tab.goto(course_page)
    app = tab.frame_locator("iframe")
    expect(app.get_by_test_id("stSidebarNav")).to_be_attached(timeout=2 * MINUTE)
    (frame,) = (frame for frame in tab.frames if frame.parent_frame)
    answer_number(app, "cache_bytes")
    is_kept(frame, "c5.cache_bytes")
    visitor_id = next(c["value"] for c in browser.cookies() if c["name"] == visitor.COOKIE)
    tab.reload()
    expect(app.get_by_text("1 of 8 answered")).to_be_visible(timeout=2 * MINUTE)
    assert [c["value"] for c in browser.cookies() if c["name"] == visitor.COOKIE] == [visitor_id]
