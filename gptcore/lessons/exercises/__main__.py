"""Runs one learner's file in this process and writes the verdict: `python -m gptcore.lessons.exercises NAME FILE OUT`.

A learner's file may print, loop or crash, so `check_file` starts this as a child with a time limit.
"""

import json
import sys
from pathlib import Path

from gptcore.lessons.exercises import LEARNER, Verdict, check, named


def judge(name: str, file: str) -> Verdict:
    """Return the verdict on a file; what its code raises while it is read becomes one too."""
    exercise = named(name)
    wanted = exercise.solution.__name__
    place = {"__name__": LEARNER, "__file__": file}
    try:
        exec(compile(Path(file).read_text(encoding="utf-8"), file, "exec"), place)
    except SyntaxError as error:
        return Verdict(passed=False, says=f"Line {error.lineno} is not Python: {error.msg}.")
    except Exception as error:  # whatever it is, the learner is told
        return Verdict(passed=False, says=f"Reading the file raises {type(error).__name__}: {error}.")
    if not callable(place.get(wanted)):
        kind = "class" if isinstance(exercise.solution, type) else "function"
        return Verdict(passed=False, says=f"The file defines no {kind} {wanted}.")
    return check(exercise, place[wanted])


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(judge(sys.argv[1], sys.argv[2]).to_dict()), encoding="utf-8")
