"""Chapter 10 in a real browser: the script that is downloaded is a program with the settings of the page."""

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import serious_findings

TURN = 120_000


def test_the_script_is_downloaded_with_the_settings_of_the_page(server, page):
    page.goto(f"{server.url}/script?c10_steps=50")
    tab = page.get_by_role("tab", name="Step 3")
    expect(tab).to_be_visible(timeout=TURN)
    assert not serious_findings(page)
    tab.click()
    button = page.get_by_role("button", name="Download the script")
    expect(button).to_be_visible(timeout=TURN)
    with page.expect_download(timeout=TURN) as waiting:
        button.click()
    code = Path(waiting.value.path()).read_text(encoding="utf-8")
    compile(code, "script.py", "exec")
    assert "\nSTEPS = 50\n" in code
