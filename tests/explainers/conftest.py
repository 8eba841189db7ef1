"""Every block of every explainer is run once for the whole session, by the worker pool."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def runs() -> dict[tuple[str, int], list[dict]]:
    """What each block said, by topic and number: at its defaults first, then at each end of each range."""
    command = [sys.executable, "-m", "explainers", "check", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    found: dict[tuple[str, int], list[dict]] = {}
    for line in done.stdout.splitlines():
        run = json.loads(line)
        found.setdefault((run["topic"], run["number"]), []).append(run)
    assert found, done.stderr
    return found
