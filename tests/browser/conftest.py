"""A real server on a free port, with a fresh home and runs folder, and a headless Chromium to look at it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from gptcore.resources import process_is_running
from gptcore.runs.run import list_runs

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the pages are scripts beside app.py and not an installed package
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS = 60
# Opened at /setup, Streamlit's client asks below /setup/ first and finds its server one level up: two 404s.
EXPECTED_ERRORS = ("/_stcore/health", "/_stcore/host-config")


def missing(reason: str):
    """Skip where no browser can run, unless this run has to show that it can."""
    if os.environ.get("GLASSBOX_REQUIRE_BROWSER") == "1":
        pytest.fail(f"a browser is required here: {reason}")
    pytest.skip(reason)


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@dataclass(frozen=True)
class Server:
    """A running app: where it answers, what it logs, where its runs are kept."""

    url: str
    log: Path
    runs: Path
    process: subprocess.Popen


def start_server(folder: Path, port: int = 0) -> Server:
    """Start the app on a port, a free one where none is given, and wait until it answers."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    home, runs, log = folder / "home", folder / "runs", folder / "server.log"
    home.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    command += [
        "--server.port",
        str(port),
        "--server.address",
        "127.0.0.1",
        "--server.fileWatcherType",
        "none",
    ]
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"HOME": str(home), "GLASSBOX_RUNS": str(runs)},
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).read()
            return Server(url, log, runs, process)
        except OSError:
            time.sleep(0.2)
    process.kill()
    pytest.fail(f"the server did not start:\n{log.read_text()}")


def stop_server(server: Server) -> None:
    server.process.terminate()
    server.process.wait(20)
    end_runs(server)


def end_runs(server: Server) -> None:
    """Kill what a server's visitors left training: runs outlive their server, and would slow every test after."""
    for run in list_runs(folder=server.runs):
        launched = run.request().get("launched") or {}
        if process_is_running(launched):
            os.kill(launched["pid"], signal.SIGKILL)


def complaints(server: Server) -> list[str]:
    """Lines of the server's log that tell of a warning or an error."""
    words = ("Warning", "WARNING", "Error", "ERROR", "Traceback", "deprecated")
    return [line for line in server.log.read_text().splitlines() if any(word in line for word in words)]


BACKGROUND = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
SCROLLING_WITHOUT_KEYBOARD = """[...document.querySelectorAll(".katex-display:not([tabindex])")]
.some(formula => formula.scrollWidth > formula.clientWidth)"""


def serious_findings(page) -> list[tuple[str, str]]:
    """What axe-core finds serious or critical in a whole page, headings out of order among it: the rule and the markup
    that breaks it. In the light with all rules, and the contrast again in the dark.
    """
    from playwright.sync_api import expect

    axe = pytest.importorskip("axe_playwright_python")
    at_rest = ("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stApp")).to_have_attribute(*at_rest, timeout=120_000)
    expect(page.locator("body > .skip-link")).to_be_attached()
    page.wait_for_function(f"!{SCROLLING_WITHOUT_KEYBOARD}")
    page.wait_for_function(
        "!document.querySelector('[data-stale=true]')"
    )  # faded while its fragment runs again
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    was = page.evaluate(BACKGROUND)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"was => {BACKGROUND} !== was", arg=was)
    found += page.evaluate("axe.run(document, {runOnly: ['color-contrast']})")["violations"]
    page.emulate_media(color_scheme="light")
    return [
        (one["id"], node["html"][:200])
        for one in found
        if one["impact"] in ("serious", "critical") or one["id"] == "heading-order"
        for node in one["nodes"]
    ]


@pytest.fixture(scope="session")
def chromium():
    path = os.environ.get("GLASSBOX_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing("no chromium found; install Debian's package chromium")
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        missing("playwright is not installed; install requirements-dev.txt")
    expect.set_options(timeout=30_000)  # five seconds are short on a machine that trains beside
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(chromium, tmp_path_factory):
    """One server for the tests that need no cold one; its log must stay without complaint."""
    server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    stop_server(server)
    assert not complaints(server)


@pytest.fixture
def cold_server(chromium, tmp_path):
    """A server nobody has asked for anything yet."""
    server = start_server(tmp_path)
    yield server
    stop_server(server)
    assert not complaints(server)


def where_and_what(said) -> str:
    """A line of the browser's console with the address it speaks of."""
    return f"{(said.location or {}).get('url', '')} {said.text}"


# Chromium draws on the CPU here, and fading what a rerun replaces costs as much as all else of a page load.
WITHOUT_MOTION = """document.addEventListener("DOMContentLoaded", () => {
  const style = document.createElement("style")
  style.textContent = "*, *::before, *::after { animation: none !important; transition: none !important }"
  document.head.append(style)
})"""


def new_visitor(chromium):
    """A fresh browser context, in which nothing is animated by CSS."""
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    context.add_init_script(WITHOUT_MOTION)
    return context


@pytest.fixture
def page(chromium):
    """A fresh visitor; console errors of our making fail the test."""
    context = new_visitor(chromium)
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors = []
    page.on("console", lambda said: errors.append(where_and_what(said)) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not [text for text in errors if not any(known in text for known in EXPECTED_ERRORS)]
