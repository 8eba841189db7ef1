"""What the field repeats, as data: each claim beside the function that measures it here, and a verdict.

A claim lives in the module of its topic in `measurements/`, which lists its own in `CLAIMS`. Measuring
yields repetitions; each is one number a setting. Only one measurement runs on a machine at a time, since a time
taken while thirty others are taken is thirty lies: whoever measures holds a lock, the others wait for it.
"""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, NamedTuple, Self

from filelock import FileLock, Timeout

from gptcore import __version__
from gptcore.experiments.machine import processor
from gptcore.experiments.measured_code import fingerprint
from gptcore.files import read_json, write_json
from gptcore.resources import available_cores
from gptcore.runs.jobs import FOLDERS, MEASUREMENT, Report, job_kind
from gptcore.runs.run import progress_file, runs_folder
from gptcore.training import devices

VERDICTS = ("holds", "holds not", "depends")
LOCK = Path(tempfile.gettempdir()) / "glassbox-measuring.lock"
FORMAT = "glassbox-claim-2"
KIND = "claim"  # of job, for the queue
SECONDS = 3600.0  # of a job; the slowest trains models for minutes, the rest is for a machine that is busy
REPORT_SECONDS = 0.5  # between two words about how far a measurement is

Repetition = Mapping[str, float]  # one number a setting, such as {"T = 128": 1.1, "T = 1024": 2.3}


class ClaimError(ValueError):
    """A claim that does not exist or cannot be measured, said in one sentence."""


class CannotBeMeasured(ClaimError):
    """A claim that needs what this machine has not."""


class Spread(NamedTuple):
    """What repetitions gave in one setting: the median and both ends."""

    middle: float
    low: float
    high: float


class Progress(NamedTuple):
    """How far a measurement is: the share of its work that is done."""

    share: float


Judge = Callable[[Mapping[str, Spread]], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One sentence that is repeated, where it comes from, and how to find out whether it holds here.

    `headline` is the setting whose median is quoted; `transfers` says in one sentence what of the answer holds
    elsewhere. `kind` is `quick` (seconds) or `train` (it trains models, minutes). `nothing` is the number that would
    mean no effect at all, where there is one: a setting whose repetitions lie on both sides of it is within the
    noise. `needs` is `cpu` or `accelerator`. `timed` says that the number is a time or a speed, which a busy machine
    changes.
    """

    name: str
    chapter: int
    slogan: str
    source: str
    how: str
    unit: str
    headline: str
    measure: Callable[[], Iterator[Repetition | Progress]]
    judge: Judge
    transfers: str
    kind: str = "quick"
    nothing: float | None = None
    needs: str = "cpu"
    timed: bool = False


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
    within_noise: tuple[str, ...]  # settings whose repetitions lie on both sides of no effect
    repetitions: int
    seconds: float
    load: float | None  # processes that wanted a core, a minute's mean when it began
    cores: int
    machine: str
    versions: dict[str, str]
    when: str  # UTC, ISO 8601
    fingerprint: str = (
        ""  # of the code that measured (`measured_code`); empty in results of the first edition
    )
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
            tuples = {name: tuple(values[name]) for name in ("spread", "within_noise")}
            return cls(**{**values, **tuples, "settings": settings})
        except (KeyError, TypeError, AttributeError) as error:
            raise ClaimError(f"this is no result of a measurement: {error}; measure again") from error


def by_range(test: Callable[[float], bool]) -> Judge:
    """Return a judge: `holds` where both ends of every setting pass the test, `holds not` where none does."""

    def judge(measured: Mapping[str, Spread]) -> str:
        passes = [test(end) for spread in measured.values() for end in (spread.low, spread.high)]
        return "holds" if all(passes) else "depends" if any(passes) else "holds not"

    return judge


def by_median(test: Callable[[float], bool], *, within: float = 0.0) -> Judge:
    """Return a judge of times, which a busy machine stretches now and then: it asks the middle of each setting.

    A setting passes where its middle does and would still do so a share of `within` nearer to the other side; so a
    second measurement does not fall to the other side of a line that the first one nearly touched.
    """

    def judge(measured: Mapping[str, Spread]) -> str:
        passes = [test(one.middle * (1 + by)) for one in measured.values() for by in (-within, within)]
        return "holds" if all(passes) else "depends" if any(passes) else "holds not"

    return judge


@cache
def _all() -> tuple[Claim, ...]:
    package = import_module("gptcore.experiments.measurements")
    modules = [import_module(f"{package.__name__}.{found.name}") for found in iter_modules(package.__path__)]
    claims = [claim for module in modules for claim in module.CLAIMS]
    return tuple(sorted(claims, key=lambda claim: claim.chapter))


def registry() -> dict[str, Claim]:
    """Return every claim by name, in the order of the chapters."""
    return {claim.name: claim for claim in _all()}


def get_claim(name: str) -> Claim:
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


def within_noise(found: Mapping[str, Spread], nothing: float | None) -> tuple[str, ...]:
    """Return the settings whose repetitions lie on both sides of no effect, or on it.

    >>> within_noise({"a": Spread(0.01, -0.02, 0.03), "b": Spread(0.3, 0.2, 0.4)}, 0.0)
    ('a',)
    """
    if nothing is None:
        return ()
    return tuple(name for name, one in found.items() if one.low <= nothing <= one.high)


def check_machine(claim: Claim) -> None:
    """Raise CannotBeMeasured where this machine has not what measuring a claim needs."""
    if claim.needs == "accelerator" and devices.pick_device().type == "cpu":
        raise CannotBeMeasured(f"{claim.name} needs an accelerator, and there is none that torch can use")


def can_be_measured(claim: Claim) -> bool:
    """Return whether this machine has what measuring a claim needs."""
    try:
        check_machine(claim)
    except CannotBeMeasured:
        return False
    return True


def measure(claim: Claim, report: Callable[[float], None] = lambda share: None) -> Result:
    """Measure a claim now, without waiting for the machine (`measurement_lock`); raises ClaimError without a result.

    `report` is told the share that is done, where the measurement says so.
    """
    check_machine(claim)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    when, started = datetime.now(UTC), time.perf_counter()
    repetitions: list[Repetition] = []
    for one in claim.measure():
        if isinstance(one, Progress):
            report(one.share)
        else:
            repetitions.append(one)
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
        within_noise=within_noise(found, claim.nothing),
        repetitions=len(repetitions),
        seconds=time.perf_counter() - started,
        load=load,
        cores=available_cores(),
        machine=processor()[0],
        versions=versions(),
        when=when.isoformat(timespec="seconds"),
        fingerprint=fingerprint(claim.measure),
    )


def is_outdated(result: Result) -> bool:
    """Return whether a result is of another measurement or another rule than the claim has today."""
    claim = get_claim(result.name)
    if result.fingerprint not in ("", fingerprint(claim.measure)) or result.unit != claim.unit:
        return True
    found = {name: Spread(*values) for name, values in result.settings.items()}
    return claim.headline not in found or claim.judge(found) != result.verdict


def versions() -> dict[str, str]:
    """Return the versions that a result may hang on."""
    return {"glassbox": __version__, "python": platform.python_version(), "torch": metadata.version("torch")}


@contextmanager
def measurement_lock(path: Path | None = None, timeout: float = -1) -> Iterator[None]:
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
    return runs_folder() / FOLDERS[MEASUREMENT]


def claim_progress_file(name: str) -> Path:
    """Return the file in which the measurement of a claim says how far it is."""
    return progress_file(folder() / name)


@job_kind(KIND, slots=MEASUREMENT, seconds=SECONDS)
def _measure_claim(settings: Mapping[str, Any], report: Report) -> None:
    measure_exclusively(settings["name"])


def measure_exclusively(name: str) -> Result:
    """Wait for the machine, measure, keep the result where pages find it, and return it."""
    claim, kept = get_claim(name), folder()
    check_machine(claim)
    kept.mkdir(parents=True, exist_ok=True)
    with FileLock(kept / f"{name}.lock"), measurement_lock():
        try:
            result = measure(claim, _reporter(claim_progress_file(name)))
        finally:
            claim_progress_file(name).unlink(missing_ok=True)
    write_json(kept / f"{name}.json", result.to_dict())
    return result


def _reporter(path: Path) -> Callable[[float], None]:
    """Return what writes a share into a file, now and then."""
    said = -REPORT_SECONDS

    def report(share: float) -> None:
        nonlocal said
        if time.monotonic() - said >= REPORT_SECONDS:
            said = time.monotonic()
            write_json(path, {"share": share})

    return report


def last_result(name: str) -> Result | None:
    """Return what the last measurement on this machine gave, or None."""
    try:
        return Result.from_dict(read_json(folder() / f"{name}.json"))
    except ClaimError:
        return None


def is_being_measured(name: str) -> bool:
    """Return whether some process measures this claim now, or waits for its turn."""
    return is_held(folder() / f"{name}.lock")


def machine_is_busy() -> bool:
    """Return whether any measurement runs on this machine."""
    return is_held(LOCK)
