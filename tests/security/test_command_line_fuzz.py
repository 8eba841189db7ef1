"""The command line against random commands, values, files and outputs: see `command_line_fuzz.py`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("command_line_fuzz.py")
ROOT = SCRIPT.parents[2]
COMMANDS = {"train", "resume", "sample", "export", "tokenize"}

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="tries are forked, with Linux's limits"
)


def attack(seed: int, tries: range, folder: Path) -> None:
    """Run tries of a seed; fail with all that was found."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(seed), f"{tries.start}:{tries.stop}", str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(tries), done.stderr[-3000:]
    findings = [row for row in rows if "finding" in row]
    assert not findings, json.dumps(findings, indent=1)
    assert {row["command"] for row in rows if row["status"] == 0} >= COMMANDS  # not everything was refused


def test_no_command_line_gives_a_traceback_a_hang_or_files_left_behind(tmp_path):
    attack(1, range(100), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 110))
def test_no_command_line_of_thousands_does(seed, tmp_path):
    attack(seed, range(500), tmp_path)
