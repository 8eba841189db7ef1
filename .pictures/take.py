"""Takes the pictures of the README from the running app, in light and in dark: `python .pictures/take.py`.

It starts the app on a free port with an empty home and an empty runs folder, opens each page in a headless Chromium
and writes WebP files beside itself. Needs what requirements-dev.txt installs, and a Chromium.
"""

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).resolve().parent
PATIENCE = 300_000  # milliseconds; a busy machine takes its time over a first page
SETTLE = 5_000
WIDTH = 1200
TALL = 3200
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
ONLY_LABS = "hide=analogy,example,code,diagram,measured,check,deeper"


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: its name, the address in the app, what must be there, and the part of the page to take.

    `height` pixels of it are taken; without a part, of the top of the page.
    """

    name: str
    address: str
    there: str
    part: str = ""
    height: int = 760


SHOTS = (
    Shot("home", "", ".living .note"),
    Shot(
        "attention",
        f"attention?{ONLY_LABS}",
        ".st-key-c5_heads_bench .js-plotly-plot",
        ".st-key-c5_heads_bench",
        height=1130,
    ),
    Shot("training", "training", ".st-key-c8_finding .js-plotly-plot", height=1000),
)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of the app, running for as long as the block does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {"headless": "true", "port": str(port), "address": "127.0.0.1", "fileWatcherType": "none"}
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
    for name, value in options.items():
        command += [f"--server.{name}", value]
    (folder / "home").mkdir()
    place = os.environ | {"HOME": str(folder / "home"), "GLASSBOX_RUNS": str(folder / "runs")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=HERE.parent, env=place, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).read()
                break
            except OSError:
                time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(120)  # a busy server takes its time over ending, too


def take(browser: Browser, url: str, shot: Shot, scheme: str) -> bytes:
    """The picture as PNG."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": TALL if shot.part else shot.height},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{url}/{shot.address}")
    page.locator(shot.there).first.wait_for()
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
    page.wait_for_timeout(SETTLE)
    clip = None
    if shot.part:  # the page scrolls inside itself, so the part must fit into a tall window
        box = page.locator(shot.part).first.bounding_box()
        clip = {**box, "height": min(box["height"], shot.height)}
    found = page.screenshot(clip=clip)
    context.close()
    return found


def main() -> None:
    """Take every picture; names on the command line choose some of them."""
    wanted = [shot for shot in SHOTS if shot.name in sys.argv[1:] or not sys.argv[1:]]
    chromium = (
        os.environ.get("GLASSBOX_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder)) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for shot in wanted:
            for scheme in ("light", "dark"):
                picture = Image.open(io.BytesIO(take(browser, url, shot, scheme)))
                out = HERE / f"{shot.name}-{scheme}.webp"
                picture.save(out, "WEBP", quality=82, method=6)
                print(f"{out.name}: {picture.width} x {picture.height}, {out.stat().st_size / 1000:.0f} kB")
        browser.close()


if __name__ == "__main__":
    main()
