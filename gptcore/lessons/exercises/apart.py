"""A learner's file is run in a process of its own, with a time limit."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from gptcore.lessons.exercises import ExerciseError, Verdict, named

SECONDS = 20.0


def check_file(name: str, file: str | Path, seconds: float = SECONDS) -> Verdict:
    """Return the verdict on a file; raises ExerciseError for an unknown exercise or a file that is not there."""
    named(name)
    if not Path(file).is_file():
        raise ExerciseError(f"{file} is not a file; print the stub with: python -m gptcore exercise {name}")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "verdict.json"
        command = [
            sys.executable,
            "-m",
            "gptcore.lessons.exercises",
            name,
            str(Path(file).absolute()),
            str(out),
        ]
        try:
            done = subprocess.run(command, timeout=seconds, capture_output=True, text=True, check=False)
        except subprocess.TimeoutExpired:
            return Verdict(
                passed=False, says=f"It had not ended after {seconds:g} s; is there a loop that never ends?"
            )
        if not out.is_file():
            last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            return Verdict(
                passed=False, says=f"Your code ended the process before it could be checked: {last}"
            )
        return Verdict(**json.loads(out.read_text(encoding="utf-8")))
