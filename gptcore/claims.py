"""What the field repeats, as data: each claim beside the function that measures it here, and a verdict.

A claim lives in the module of its topic in `gptcore/measurements/`, which lists its own in `CLAIMS`. Measuring
yields repetitions; each is one number a setting. Only one measurement runs on a machine at a time, since a time
taken while thirty others are taken is thirty lies: whoever measures holds a lock, the others wait for it.
"""

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, NamedTuple, Self

from filelock import FileLock, Timeout

VERDICTS = ("holds", "holds not", "depends")
LOCK = Path(tempfile.gettempdir()) / "glassbox-measuring.lock"
FORMAT = "glassbox-claim-1"

Repetition = Mapping[str, float]  # one number a setting, such as {"T = 128": 1.1, "T = 1024": 2.3}


class ClaimError(ValueError):
    """A claim that does not exist or cannot be measured, said in one sentence."""


class Spread(NamedTuple):
    """What repetitions gave in one setting: the median and both ends."""

    middle: float
    low: float
    high: float


Judge = Callable[[Mapping[str, Spread]], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One sentence that is repeated, where it comes from, and how to find out whether it holds here.

    `headline` is the setting whose median is quoted; `transfers` says in one sentence what of the answer holds
    elsewhere. `kind` is `quick` (seconds) or `train` (it trains models, minutes).
    """

    name: str
    chapter: int
    slogan: str
    source: str
    how: str
    unit: str
    headline: str
    measure: Callable[[], Iterator[Repetition]]
    judge: Judge
    transfers: str
    kind: str = "quick"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What measuring a claim gave, when, and how busy the machine was."""

    name: str
    claim: str
    source: str
    measured: float
    spread: tuple[float, float]
    unit: str
    verdict: str
    settings: dict[str, tuple[float, float, float]]
    repetitions: int
    seconds: float
    load: float | None  # processes that wanted a core, a minute's mean when it began
    cores: int
    machine: str
    when: str  # UTC, ISO 8601
    format: str = field(default=FORMAT)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the result these values describe; raises ClaimError for another format."""
        try:
            if values["format"] != FORMAT:
                raise ClaimError(f"a result of format {values['format']} cannot be read; measure again")
            settings = {name: tuple(found) for name, found in values["settings"].items()}
            return cls(**{**values, "spread": tuple(values["spread"]), "settings": settings})
        except (KeyError, TypeError, AttributeError) as error:
            raise ClaimError(f"this is no result of a measurement: {error}; measure again") from error


def wherever(test: Callable[[float], bool]) -> Judge:
    """Return a judge: `holds` where both ends of every setting pass the test, `holds not` where none does."""

    def judge(measured: Mapping[str, Spread]) -> str:
        passes = [test(end) for spread in measured.values() for end in (spread.low, spread.high)]
        return "holds" if all(passes) else "depends" if any(passes) else "holds not"

    return judge


def registry() -> dict[str, Claim]:
    """Return every claim by name, in the order of the chapters."""
    package = import_module("gptcore.measurements")
    modules = [import_module(f"{package.__name__}.{found.name}") for found in iter_modules(package.__path__)]
    claims = [claim for module in modules for claim in module.CLAIMS]
    return {claim.name: claim for claim in sorted(claims, key=lambda claim: claim.chapter)}


def named(name: str) -> Claim:
    """Return a claim; raises ClaimError for an unknown name."""
    found = registry()
    if name not in found:
        raise ClaimError(f"there is no claim {name!r}; there are {', '.join(found)}")
    return found[name]


def spreads(repetitions: Sequence[Repetition]) -> dict[str, Spread]:
    """Return the median and both ends of every setting.

    >>> spreads([{"a": 1.0}, {"a": 5.0}, {"a": 2.0}])
    {'a': Spread(middle=2.0, low=1.0, high=5.0)}
    """
    names = list(dict.fromkeys(name for one in repetitions for name in one))
    columns = {name: [one[name] for one in repetitions if name in one] for name in names}
    return {
        name: Spread(statistics.median(values), min(values), max(values)) for name, values in columns.items()
    }


def measure(claim: Claim) -> Result:
    """Measure a claim now; raises ClaimError where nothing came of it. Does not wait for the machine: see `turn`."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    when, started = datetime.now(UTC), time.perf_counter()
    repetitions = list(claim.measure())
    found = spreads(repetitions)
    if claim.headline not in found:
        raise ClaimError(f"measuring {claim.name} gave nothing for {claim.headline}")
    verdict = claim.judge(found)
    if verdict not in VERDICTS:
        raise ClaimError(f"{claim.name} was judged {verdict!r}, which is none of {', '.join(VERDICTS)}")
    best = found[claim.headline]
    return Result(
        name=claim.name,
        claim=claim.slogan,
        source=claim.source,
        measured=best.middle,
        spread=(best.low, best.high),
        unit=claim.unit,
        verdict=verdict,
        settings={name: tuple(spread) for name, spread in found.items()},
        repetitions=len(repetitions),
        seconds=time.perf_counter() - started,
        load=load,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        machine=platform.machine(),
        when=when.isoformat(timespec="seconds"),
    )


@contextmanager
def turn(path: Path | None = None, timeout: float = -1) -> Iterator[None]:
    """Hold the machine for one measurement; waits for whoever holds it, at most `timeout` seconds."""
    try:
        with FileLock(path or LOCK, timeout=timeout, mode=0o666):
            yield
    except Timeout as error:
        raise ClaimError(
            "another measurement is running on this machine; try again when it is over"
        ) from error


def is_held(path: Path) -> bool:
    """Return whether a process holds this lock now."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0, mode=0o666):
            return False
    except (Timeout, OSError):
        return True


def folder() -> Path:
    """Return where results are kept: `claims` in the runs folder."""
    from gptcore.runs import runs_folder

    return runs_folder() / "claims"


def measure_in_turn(name: str) -> Result:
    """Wait for the machine, measure, keep the result where pages find it, and return it."""
    claim, kept = named(name), folder()
    kept.mkdir(parents=True, exist_ok=True)
    with FileLock(kept / f"{name}.lock"), turn():
        result = measure(claim)
    fresh = kept / f"{name}.fresh"
    fresh.write_text(json.dumps(result.to_dict()), encoding="utf-8")
    fresh.replace(kept / f"{name}.json")
    return result


def last_result(name: str) -> Result | None:
    """Return what the last measurement on this machine gave, or None."""
    try:
        return Result.from_dict(json.loads((folder() / f"{name}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def is_under_way(name: str) -> bool:
    """Return whether some process measures this claim now, or waits for its turn."""
    return is_held(folder() / f"{name}.lock")


def machine_is_busy() -> bool:
    """Return whether any measurement runs on this machine."""
    return is_held(LOCK)
