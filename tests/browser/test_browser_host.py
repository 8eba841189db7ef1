"""The page of the host in a real browser: a page only with a secret, fit for a phone, with a backup to download."""

import shutil
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pages.kit import host_access
from tests.browser.conftest import complaints, new_visitor, serious_findings, start_server, stop_server

MINUTE = 60_000
SECRET = "a secret of the host"
RUNS = Path(__file__).resolve().parents[1] / "first_edition" / "runs"
# By how many pixels the page is wider than its window, wherever it scrolls.
OVERFLOW = (
    "Math.max(...[...document.querySelectorAll('html, [data-testid=stMain]')]"
    ".map(part => part.scrollWidth - part.clientWidth))"
)


@pytest.fixture
def hosted(chromium, tmp_path, monkeypatch):
    """A server with a secret, which nobody has asked for a page yet, and two runs."""
    monkeypatch.setenv("GLASSBOX_HOSTED", "1")
    monkeypatch.setenv(host_access.VARIABLE, SECRET)
    shutil.copytree(RUNS, tmp_path / "runs")
    server = start_server(tmp_path)
    yield server
    stop_server(server)
    assert not complaints(server)
    assert SECRET not in server.log.read_text()


@pytest.fixture
def host(chromium):
    context = new_visitor(chromium)
    context.set_default_timeout(MINUTE)
    yield context.new_page()
    context.close()


@pytest.fixture
def fresh(tmp_path):
    """A server without a secret, which nobody has asked for a page yet."""
    server = start_server(tmp_path)
    yield server
    stop_server(server)
    assert not complaints(server)


def test_without_a_secret_the_address_is_that_of_no_page(fresh, host):
    for name in ("host", "nowhere", "host"):  # a fresh server runs any script of pages/ by its address
        host.goto(f"{fresh.url}/{name}")
        expect(host.get_by_role("dialog")).to_contain_text("Page not found", timeout=2 * MINUTE)
        expect(host.get_by_role("heading", name="Glassbox")).to_be_visible()
        expect(host.locator(".st-key-host_secret")).to_have_count(0)
        assert host.url == f"{fresh.url}/"


def test_with_the_secret_the_page_shows_the_server_and_hands_out_its_runs(hosted, host, tmp_path):
    host.goto(f"{hosted.url}/host")
    field = host.locator(".st-key-host_secret input")
    expect(field).to_have_attribute("type", "password", timeout=2 * MINUTE)
    sidebar = host.get_by_test_id("stSidebarNav")
    expect(sidebar.get_by_role("link", name="Host")).to_have_count(0)
    field.fill(SECRET)
    host.get_by_role("button", name="Open the host page").click()
    connected = host.get_by_test_id("stMetric").filter(has_text="Visitors connected")
    expect(connected).to_contain_text("1", timeout=MINUTE)
    expect(sidebar.get_by_role("link", name="Host")).to_be_visible()
    assert SECRET not in host.url and SECRET not in host.content()

    second = host.context.new_page()  # it is counted within a few seconds, without a click
    second.goto(hosted.url)
    expect(connected).to_contain_text("2", timeout=MINUTE)
    second.close()
    expect(connected).to_contain_text("1", timeout=MINUTE)

    for width in (1400, 400):
        host.set_viewport_size({"width": width, "height": 900})
        expect(host.get_by_role("heading", name="Back up the runs folder")).to_be_attached()
        host.wait_for_function(f"{OVERFLOW} <= 0")
    assert not serious_findings(host)

    with host.expect_download() as download:
        host.get_by_role("button", name="Download the backup").click()
    download.value.save_as(tmp_path / "backup.zip")
    with zipfile.ZipFile(tmp_path / "backup.zip") as archive:
        assert {"finished/config.json", "paused/config.json"} <= set(archive.namelist())

    host.get_by_role("combobox", name="Run", exact=True).click()
    host.get_by_role("option", name="paus").click()
    host.get_by_role("button", name="Delete this run").click()
    host.get_by_role("button", name="Delete permanently").click()
    expect(host.get_by_text("Deleted: paused.")).to_be_visible()
    assert not (hosted.runs / "paused").exists() and (hosted.runs / "finished").exists()
