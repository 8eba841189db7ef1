"""The pages are scripts beside `app.py` and not an installed package: their folder goes on the path."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import explainers  # noqa: E402, F401 - AppTest puts pages/ first on the path, whose explainers.py would stand for it


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    """Each test has a runs folder of its own, empty at the start."""
    from pages.kit import session

    monkeypatch.setenv("GLASSBOX_RUNS", str(tmp_path / "runs"))
    # It starts a process of its own, which takes seconds to make ready.
    monkeypatch.setattr(session, "start_workers", lambda: None)
    monkeypatch.chdir(ROOT)
    return tmp_path / "runs"
