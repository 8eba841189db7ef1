"""Checks a learner's file in a worker, with limits on time and memory. Only the command line does this.

A learner's file may print, loop or crash, so it never runs in the process that asks.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gptcore.lessons.exercises import LEARNER, ExerciseError, Verdict, check, get_exercise
from gptcore.runs import worker_pool
from gptcore.runs.jobs import INTERACTIVE, MEMORY_MB, JobError, Report, job_kind
from gptcore.runs.request import RunRequest

SECONDS = 20.0


def check_file(name: str, file: str | Path, seconds: float = SECONDS) -> Verdict:
    """Return the verdict on a file; raises ExerciseError for an unknown exercise or a file that is not there."""
    get_exercise(name)
    if not Path(file).is_file():
        raise ExerciseError(f"{file} is not a file; print the stub with: python -m gptcore exercise {name}")
    request = RunRequest(kind="exercise", settings={"name": name, "file": str(Path(file).absolute())})
    try:
        return Verdict(**worker_pool.shared().submit(request, seconds=seconds).result())
    except JobError as error:
        if error.cause == "timeout":
            says = f"It had not ended after {seconds:g} s; is there a loop that never ends?"
        else:
            says = f"Your code ended the process before it could be checked: {error}"
        return Verdict(passed=False, says=says)


@job_kind("exercise", slots=INTERACTIVE, seconds=SECONDS, memory_mb=MEMORY_MB)
def _check_exercise(settings: Mapping[str, Any], report: Report) -> dict[str, Any]:
    try:
        return _judge(settings["name"], settings["file"]).to_dict()
    except SystemExit as error:
        raise JobError(f"it calls exit({error.code if error.code is not None else ''})") from error


def _judge(name: str, file: str) -> Verdict:
    """Return the verdict on a file; what its code raises while it is read becomes one too."""
    exercise = get_exercise(name)
    wanted = exercise.solution.__name__
    namespace = {"__name__": LEARNER, "__file__": file}
    try:
        exec(compile(Path(file).read_text(encoding="utf-8"), file, "exec"), namespace)
    except SyntaxError as error:
        return Verdict(passed=False, says=f"Line {error.lineno} is not Python: {error.msg}.")
    except Exception as error:  # whatever it is, the learner is told
        return Verdict(passed=False, says=f"Reading the file raises {type(error).__name__}: {error}.")
    if not callable(namespace.get(wanted)):
        kind = "class" if isinstance(exercise.solution, type) else "function"
        return Verdict(passed=False, says=f"The file defines no {kind} {wanted}.")
    return check(exercise, namespace[wanted])
