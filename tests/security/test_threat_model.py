"""SECURITY.md names the limits and the files that are there."""

import re
from pathlib import Path

from gptcore.runs import archive, limits

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_limit_is_in_the_table_and_nothing_else_is():
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    assert set(re.findall(r"GLASSBOX_\w+", "\n".join(rows))) == set(limits.names())


def test_every_file_named_is_there():
    named = re.findall(r"`((?:gptcore|pages|deploy|tests)/[\w/.]+|\.ci/run)`", TEXT)
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name.rstrip("/")).exists()] == []


def test_numbers_are_those_of_the_code():
    assert f"{archive.MAX_RUNS} runs, a ratio of {archive.MAX_RATIO}" in TEXT
    assert "5 * limits.upload_mb" in (ROOT / "gptcore/runs/archive.py").read_text(encoding="utf-8")


def test_how_to_report_is_on_the_page():
    assert "*Report a vulnerability*" in TEXT and "@" not in TEXT
