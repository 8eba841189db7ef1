"""Exercises: the solution passes, each classic mistake is named as itself, all else is told where it differs."""

import ast
import inspect
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
import torch

from gptcore.__main__ import main
from gptcore.lessons.exercises import (
    Exercise,
    ExerciseError,
    check,
    first_difference,
    get_exercise,
    registry,
    stub,
)
from gptcore.lessons.exercises.checker import check_file

EXERCISES = list(registry().values())
every = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)


@every
def test_the_solution_passes_and_is_documented(exercise: Exercise):
    assert check(exercise, exercise.solution).passed
    assert exercise.solution.__doc__ and exercise.task.endswith(".")


@every
def test_each_mistake_is_named_as_itself(exercise: Exercise):
    for mistake in exercise.mistakes:
        verdict = check(exercise, mistake.wrong)
        assert not verdict.passed
        assert verdict.mistake == mistake.name
        assert verdict.says == mistake.says


def solution_lines(exercise: Exercise) -> list[str]:
    """The lines of the solution below its docstring."""
    source = textwrap.dedent(inspect.getsource(exercise.solution))
    function = ast.parse(source).body[0]
    body = source.splitlines()[function.body[1].lineno - 1 :]
    return textwrap.dedent("\n".join(body)).splitlines()


@every
def test_the_stub_is_the_solution_without_its_lines(exercise: Exercise, tmp_path):
    text = stub(exercise)
    kind = "class" if isinstance(exercise.solution, type) else "def"
    assert f"{kind} {exercise.solution.__name__}(" in text
    assert not any(line in text.splitlines() for line in solution_lines(exercise) if len(line) > 12)
    file = tmp_path / "answer.py"
    file.write_text(text, encoding="utf-8")
    assert "still empty" in check_file(exercise.name, file).says


def test_an_estimate_may_be_rough_and_the_first_that_is_off_is_named():
    exercise = get_exercise("five_estimates")
    rough = check(exercise, lambda **shape: [1.01 * value for value in exercise.solution(**shape)])
    assert rough.passed
    by_name = {mistake.name: mistake for mistake in exercise.mistakes}

    def two_mistakes(**shape):
        keys, bits = (by_name[name].wrong(**shape) for name in ("keys without values", "bits for nats"))
        return (*keys[:3], bits[3], keys[4])

    assert check(exercise, two_mistakes).mistake == "keys without values"
    assert "should be" in check(exercise, lambda **shape: (1.0, 2.0, 3.0, 4.0, 5.0)).says
    assert "Five numbers are wanted" in check(exercise, lambda **shape: (1.0, 2.0)).says
    assert "returns nothing" in check(exercise, lambda **shape: None).says
    assert "should be a number" in check(exercise, lambda **shape: ("x", 2.0, 3.0, 4.0, 5.0)).says


def answer(tmp_path, code: str):
    file = tmp_path / "answer.py"
    file.write_text("import torch\n" + code, encoding="utf-8")
    return check_file("sliding_window", file, seconds=30)


def test_the_window_agrees_with_the_masks_of_the_model():
    from gptcore.attention import allowed_pairs

    exercise = get_exercise("sliding_window")
    for case in exercise.cases():
        new, cached, window = (case.arguments[name] for name in ("n_new", "n_cached", "window"))
        theirs = allowed_pairs(new, new + cached, causal=True, window=window)
        assert torch.equal(exercise.solution(**case.arguments), theirs)


def test_another_way_to_the_same_answer_passes(tmp_path):
    code = """
def window_mask(n_new, n_cached, window):
    full = torch.ones(n_new, n_cached + n_new, dtype=torch.bool)
    return full.tril(n_cached) & full.triu(n_cached - window + 1)
"""
    assert answer(tmp_path, code).passed


def test_the_first_value_that_differs_is_told(tmp_path):
    code = """
def window_mask(n_new, n_cached, window):
    full = torch.ones(n_new, n_cached + n_new, dtype=torch.bool)
    mask = full.tril(n_cached) & full.triu(n_cached - window + 1)
    mask[-1, 0] = ~mask[-1, 0]
    return mask
"""
    verdict = answer(tmp_path, code)
    assert not verdict.passed and verdict.mistake is None
    assert "at (3, 0) there is True, it should be False" in verdict.says


def test_an_error_is_told_with_its_line(tmp_path):
    verdict = answer(tmp_path, "def window_mask(n_new, n_cached, window):\n    return n_new / 0\n")
    assert "ZeroDivisionError" in verdict.says and "(line 3 of your file)" in verdict.says


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("x = 1\n", "defines no function window_mask"),
        ("def window_mask(:\n", "Line 2 is not Python"),
        ("raise KeyError('x')\n", "raises KeyError"),
        ("import os\nos._exit(3)\n", "ended the process"),
        ("def window_mask(n_new, n_cached, window):\n    return None\n", "returns nothing"),
        ("def window_mask(n_new, n_cached, window):\n    return torch.ones(2, 2)\n", "the shape is (2, 2)"),
    ],
)
def test_what_is_no_answer_is_told(tmp_path, code, says):
    assert says in answer(tmp_path, code).says


def test_a_loop_that_never_ends_is_ended(tmp_path):
    file = tmp_path / "answer.py"
    file.write_text("while True:\n    pass\n", encoding="utf-8")
    assert "never ends" in check_file("sliding_window", file, seconds=1.0).says


LEAVES = """
import subprocess, sys
def start(new_session):
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=new_session,
                            close_fds=False).pid
with open(__file__ + ".pids", "w") as file:
    print(start(False), start(True), file=file)
"""
FORKS_TWICE = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(__file__ + ".pids", "w") as file:
            print(os.getpid(), file=file)
        time.sleep(600)
    os._exit(0)
while not os.path.exists(__file__ + ".pids"):
    time.sleep(0.01)
"""


@pytest.mark.parametrize("leaves", [LEAVES, FORKS_TWICE], ids=["two children", "a daemon"])
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def window_mask(n_new, n_cached, window):\n    return None\n", "returns nothing"),
        ("import os\nos._exit(3)\n", "ended the process before it could be checked: with exit status 3"),
        ("while True: pass\n", "never ends"),
    ],
    ids=["answer", "exit", "loop"],
)
def test_the_processes_that_a_file_has_started_end_with_its_check(tmp_path, leaves, code, says):
    file = tmp_path / "answer.py"
    file.write_text(leaves + code, encoding="utf-8")
    assert says in check_file("sliding_window", file, seconds=3.0 if "while" in code else 60.0).says
    started = Path(f"{file}.pids").read_text(encoding="utf-8").split()
    assert started and not any(psutil.pid_exists(int(pid)) for pid in started)


FORGES = """
import json, os
verdict = {"passed": True, "says": "Right on all cases.", "mistake": None, "case": None, "n_cases": 9}
for fd in range(3, 1024):
    for answer in ({"result": verdict}, verdict):
        try:
            os.write(fd, json.dumps(answer).encode() + b"\\n")
        except OSError:
            pass
os._exit(0)
"""


def test_a_file_that_writes_its_own_verdict_has_not_passed(tmp_path):
    file = tmp_path / "answer.py"
    file.write_text(FORGES, encoding="utf-8")
    verdict = check_file("sliding_window", file, seconds=30)
    assert not verdict.passed and "ended the process" in verdict.says


@pytest.mark.parametrize("name", ["/dev/zero", "pipe", ".", "a" * 300, "none\0"])
def test_what_is_no_file_is_not_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(ExerciseError, match="cannot be read"):
        check_file("sliding_window", name)


def test_a_function_that_writes_into_its_arguments_spoils_nothing():
    tensor = torch.zeros(3)
    assert first_difference(tensor, torch.zeros(3), 1e-6) is None
    assert first_difference(torch.tensor([0.0, 1.0]), torch.zeros(2), 1e-6).startswith("at (1,)")
    assert first_difference(torch.full((2,), torch.inf), torch.full((2,), torch.inf), 1e-6) is None
    assert "number is wanted" in first_difference("x", 1.0, 1e-6)
    assert first_difference([1.0], (1.0,), 1e-6) is None


def command(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "gptcore", "exercise", *words], capture_output=True, text=True, check=False
    )


def test_the_command_prints_the_stub_and_the_verdict(tmp_path):
    assert "def window_mask(" in command("sliding_window").stdout
    file = tmp_path / "answer.py"
    file.write_text(
        "import torch\ndef window_mask(n_new, n_cached, window):\n"
        "    q, k = torch.arange(n_new)[:, None], torch.arange(n_new + n_cached)\n"
        "    return (k <= q) & (k > q - window)\n",
        encoding="utf-8",
    )
    done = command("sliding_window", str(file), "--json")
    verdict = json.loads(done.stdout)
    assert done.returncode == 1
    assert verdict["name"] == "sliding_window" and verdict["mistake"] == "no offset"


@pytest.mark.parametrize("words", [("nothing",), ("sliding_window", "not_there.py")])
def test_bad_input_ends_with_one_sentence(words):
    done = command(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_the_command_without_a_name_lists_every_exercise(capsys):
    assert main(["exercise", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {entry["name"] for entry in listed} == set(registry())
    assert [entry["chapter"] for entry in listed] == sorted(entry["chapter"] for entry in listed)
