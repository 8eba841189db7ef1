"""Exercises: a variation of the code a chapter shows, a checker, and the classic mistakes by name.

An exercise is a module of this package with an `EXERCISE`. Its solution and each of its mistakes are functions
that run; the stub a learner fills in is cut from the solution, so that the two cannot part. The checker
compares on several cases. Where the learner's function gives on all of them what a known mistake gives, that
mistake is named; otherwise it says where the first value differs: shape, position, value.
"""

import inspect
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any


class ExerciseError(ValueError):
    """An exercise that does not exist, or a file that holds no answer to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """A classic mistake: what it does, in a sentence to the learner who made it, and a function that makes it."""

    name: str
    says: str
    wrong: Callable


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One call to compare: what is special about it, and its arguments by name."""

    label: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exercise:
    """A function to write; `task` says what it must do, `solution` does it.

    An exercise of another kind has its own `judge` and starting file.
    """

    name: str
    chapter: int
    title: str
    task: str
    solution: Callable
    cases: Callable[[], Iterator[Case]]
    mistakes: Sequence[Mistake]
    imports: str = "import torch\nfrom torch import Tensor\n"
    tolerance: float = 1e-6
    judge: Callable | None = None
    start: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the checker found. `mistake` is the name of a known one; `says` is for the learner."""

    passed: bool
    says: str
    mistake: str | None = None
    case: str | None = None
    n_cases: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return asdict(self)


def registry() -> dict[str, Exercise]:
    """Return every exercise by name, in the order of the chapters."""
    modules = [
        import_module(f"{__name__}.{found.name}")
        for found in iter_modules(__path__)
        if not found.name.startswith("_")
    ]
    found = [module.EXERCISE for module in modules if hasattr(module, "EXERCISE")]
    return {exercise.name: exercise for exercise in sorted(found, key=lambda exercise: exercise.chapter)}


def get_exercise(name: str) -> Exercise:
    """Return an exercise; raises ExerciseError for an unknown name."""
    found = registry()
    if name not in found:
        raise ExerciseError(f"there is no exercise {name!r}; choose one of {', '.join(found)}")
    return found[name]


def stub(exercise: Exercise) -> str:
    """Return the file a learner begins with: imports, the signature and the docstring, and a gap."""
    if exercise.start:
        return exercise.start
    from gptcore.formats.syntax_tree import (
        parse_python,
    )  # it imports torch; a list needs none

    source = textwrap.dedent(inspect.getsource(exercise.solution))
    function = parse_python(source).body[0]
    head = "".join(source.splitlines(keepends=True)[: function.body[0].end_lineno])
    return (
        f'"""{exercise.title}. Check it with: python -m gptcore exercise {exercise.name} FILE"""\n\n'
        f"{exercise.imports}\n\n{head}    raise NotImplementedError  # your lines\n"
    )


def check(exercise: Exercise, function: Callable) -> Verdict:
    """Compare a function with the solution on every case; raises nothing of its own."""
    if exercise.judge is not None:
        return exercise.judge(function)
    cases = list(exercise.cases())
    wanted = [exercise.solution(**_fresh(case.arguments)) for case in cases]
    got, raised = [], None
    for case in cases:
        try:
            got.append(function(**_fresh(case.arguments)))
        except NotImplementedError:
            return Verdict(
                passed=False, says="The function is still empty; fill in the gap first.", n_cases=len(cases)
            )
        except Exception as error:  # whatever a learner's code raises is an answer to them
            raised = (case, error)
            break
    wrong = [
        (case, difference)
        for case, mine, right in zip(cases, got, wanted)
        if (difference := first_difference(mine, right, exercise.tolerance))
    ]
    if not wrong and raised is None:
        return Verdict(passed=True, says=f"Right on all {len(cases)} cases.", n_cases=len(cases))
    if raised is None and (mistake := _recognize(exercise, cases, got, wanted)):
        label = wrong[0][0].label
        return Verdict(passed=False, says=mistake.says, mistake=mistake.name, case=label, n_cases=len(cases))
    if wrong:
        case, difference = wrong[0]
        return Verdict(passed=False, says=f"{case.label}: {difference}", case=case.label, n_cases=len(cases))
    case, error = raised
    return Verdict(
        passed=False,
        says=f"{case.label}: {type(error).__name__}: {' '.join(str(error).split()) or 'no message'}{_line_of(error)}",
        case=case.label,
        n_cases=len(cases),
    )


def _line_of(error: Exception) -> str:
    trace, last = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == LEARNER:
            last = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {last} of your file)" if last else ""


LEARNER = "learner"  # the module name a learner's file runs under


def _fresh(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Copies of the tensors, so that a function that writes into its arguments spoils nothing."""
    return {name: value.clone() if hasattr(value, "clone") else value for name, value in arguments.items()}


def _recognize(exercise: Exercise, cases: Sequence[Case], got: Sequence, wanted: Sequence) -> Mistake | None:
    """Return the known mistake that gives what the learner's function gave, on every case."""
    for mistake in exercise.mistakes:
        try:
            theirs = [mistake.wrong(**_fresh(case.arguments)) for case in cases]
        except Exception:
            continue
        if all(first_difference(mine, same, exercise.tolerance) is None for mine, same in zip(got, theirs)):
            return mistake
    return None


def first_difference(got: Any, wanted: Any, tolerance: float) -> str | None:
    """Return in words where two values first differ: kind, shape, position, value; None where they agree."""
    import torch

    if isinstance(wanted, torch.Tensor):
        if not isinstance(got, torch.Tensor):
            return f"a tensor is wanted, your function returns {_kind(got)}"
        if tuple(got.shape) != tuple(wanted.shape):
            return f"the shape is {tuple(got.shape)} and should be {tuple(wanted.shape)}"
        if (got.dtype == torch.bool) != (wanted.dtype == torch.bool):
            return f"the dtype is {got.dtype} and should be {wanted.dtype}"
        both_infinite = got.double() == wanted.double()
        close = both_infinite | ((got.double() - wanted.double()).abs() <= tolerance)
        close |= got.double().isnan() & wanted.double().isnan()
        if bool(close.all()):
            return None
        index = tuple(int(i) for i in (~close).nonzero()[0])
        return f"at {index} there is {_shown(got[index].item())}, it should be {_shown(wanted[index].item())}"
    if isinstance(wanted, (list, tuple)):
        if not isinstance(got, (list, tuple)):
            return f"a {type(wanted).__name__} is wanted, your function returns {_kind(got)}"
        if len(got) != len(wanted):
            return f"there are {len(got)} items and should be {len(wanted)}"
        for index, (mine, right) in enumerate(zip(got, wanted)):
            if difference := first_difference(mine, right, tolerance):
                return f"item {index}: {difference}"
        return None
    if isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        got = got.item() if isinstance(got, torch.Tensor) and got.numel() == 1 else got
        if not isinstance(got, (int, float)):
            return f"a number is wanted, your function returns {_kind(got)}"
        close = got == wanted or abs(got - wanted) <= tolerance or (math.isnan(got) and math.isnan(wanted))
        return None if close else f"the value is {_shown(got)}, it should be {_shown(wanted)}"
    same = type(got) is type(wanted) and got == wanted
    return None if same else f"it returns {_shown(got)}, it should be {_shown(wanted)}"


def _kind(value: Any) -> str:
    return "nothing (None)" if value is None else f"a {type(value).__name__}"


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)[:80]
