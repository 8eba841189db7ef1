"""Claims of the field as data: each with the function that measures it on this machine and the rule of its verdict.

A claim is defined in the module of its topic in `measurements/`, which lists its claims in `CLAIMS`. Measuring
yields repetitions, each with one number per setting. Only one measurement runs on a machine at a time, because
measurements that run together would slow each other: a process holds a lock while it measures.
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
VERDICT_NAMES = {"holds": "Holds", "holds not": "Does not hold", "depends": "Depends"}  # as people read them
LOCK = Path(tempfile.gettempdir()) / "glassbox-measuring.lock"
FORMAT = "glassbox-claim-2"
KIND = "claim"  # of job, for the queue
SECONDS = 3600.0  # time limit of a job: the slowest trains for minutes, and the machine may be busy
REPORT_SECONDS = 0.5  # between two reports of progress

Repetition = Mapping[str, float]  # one number per setting, such as {"T = 128": 1.1, "T = 1024": 2.3}


class ClaimError(ValueError):
    """A claim that does not exist or cannot be measured."""


class CannotBeMeasured(ClaimError):
    """A claim that needs hardware this machine does not have."""


class Spread(NamedTuple):
    """Median, minimum and maximum of the repetitions in one setting."""

    middle: float
    low: float
    high: float


class Progress(NamedTuple):
    """Progress of a measurement: the fraction of its work that is done."""

    share: float


Judge = Callable[[Mapping[str, Spread]], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A statement that is often repeated, its source, and how to find out whether it holds on this machine.

    `slogan` is the statement, `how` the method. `headline` is the setting whose median is quoted. `transfers` says
    what to expect at other sizes and on other machines. `kind` is `quick` (seconds) or `train` (trains models,
    minutes). `nothing` is the number that means no effect, if there is one: a setting whose repetitions lie on both
    sides of it is within the noise. `needs` is `cpu` or `accelerator`. `timed` says that the number is a time or a
    speed, which changes on a busy machine. `labels` maps names of settings to the names that people read.
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
    labels: Mapping[str, str] = field(default_factory=dict)

    def label(self, setting: str) -> str:
        """Return the name of a setting as people read it; results keep the setting's own name."""
        return self.labels.get(setting, setting)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The result of measuring a claim: the number, the verdict, when and where it was measured, and the load."""

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
    load: float | None  # average load over the minute before it started
    cores: int
    machine: str
    versions: dict[str, str]
    when: str  # UTC, ISO 8601
    fingerprint: str = (
        ""  # of the code that measured (`measured_code`); empty in results of the first edition
    )
    format: str = field(default=FORMAT)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the result that these values describe; raises ClaimError for another format."""
        try:
            if values["format"] != FORMAT:
                raise ClaimError(
                    f"a result of format {values['format']} cannot be read; measure the claim again"
                )
            settings = {name: tuple(found) for name, found in values["settings"].items()}
            tuples = {name: tuple(values[name]) for name in ("spread", "within_noise")}
            return cls(**{**values, **tuples, "settings": settings})
        except (KeyError, TypeError, AttributeError) as error:
            raise ClaimError(
                f"this is not the result of a measurement ({error}); measure the claim again"
            ) from error


def by_range(test: Callable[[float], bool]) -> Judge:
    """Return a judge: `holds` if minimum and maximum of every setting pass the test, `holds not` if none does."""

    def judge(measured: Mapping[str, Spread]) -> str:
        passes = [test(end) for spread in measured.values() for end in (spread.low, spread.high)]
        return "holds" if all(passes) else "depends" if any(passes) else "holds not"

    return judge


def by_median(test: Callable[[float], bool], *, within: float = 0.0) -> Judge:
    """Return a judge of times, which uses the median of each setting because a busy machine distorts single times.

    A setting passes if its median does and still would after moving by the fraction `within` in either direction.
    So a median close to the threshold gives `depends`, instead of a verdict that changes with the next measurement.
    """

    def judge(measured: Mapping[str, Spread]) -> str:
        passes = [test(spread.middle * (1 + by)) for spread in measured.values() for by in (-within, within)]
        return "holds" if all(passes) else "depends" if any(passes) else "holds not"

    return judge


@cache
def _all() -> tuple[Claim, ...]:
    package = import_module("gptcore.experiments.measurements")
    modules = [
        import_module(f"{package.__name__}.{module.name}") for module in iter_modules(package.__path__)
    ]
    claims = [claim for module in modules for claim in module.CLAIMS]
    return tuple(sorted(claims, key=lambda claim: claim.chapter))


def registry() -> dict[str, Claim]:
    """Return all claims by name, in the order of the chapters."""
    return {claim.name: claim for claim in _all()}


def get_claim(name: str) -> Claim:
    """Return a claim; raises ClaimError for an unknown name."""
    claims = registry()
    if name not in claims:
        raise ClaimError(f"there is no claim {name!r}; choose one of {', '.join(claims)}")
    return claims[name]


def spreads(repetitions: Sequence[Repetition]) -> dict[str, Spread]:
    """Return the median, minimum and maximum of every setting.

    >>> spreads([{"a": 1.0}, {"a": 5.0}, {"a": 2.0}])
    {'a': Spread(middle=2.0, low=1.0, high=5.0)}
    """
    names = list(dict.fromkeys(name for repetition in repetitions for name in repetition))
    columns = {name: [values[name] for values in repetitions if name in values] for name in names}
    return {
        name: Spread(statistics.median(values), min(values), max(values)) for name, values in columns.items()
    }


def within_noise(measured: Mapping[str, Spread], nothing: float | None) -> tuple[str, ...]:
    """Return the settings whose repetitions include `nothing`, the number that means no effect.

    >>> within_noise({"a": Spread(0.01, -0.02, 0.03), "b": Spread(0.3, 0.2, 0.4)}, 0.0)
    ('a',)
    """
    if nothing is None:
        return ()
    return tuple(name for name, spread in measured.items() if spread.low <= nothing <= spread.high)


def check_machine(claim: Claim) -> None:
    """Raise CannotBeMeasured if this machine lacks the hardware that measuring a claim needs."""
    if claim.needs == "accelerator" and devices.pick_device().type == "cpu":
        raise CannotBeMeasured(
            f"{claim.name} needs an accelerator, and torch finds none here; use a machine with one"
        )


def can_be_measured(claim: Claim) -> bool:
    """Return whether this machine has the hardware that measuring a claim needs."""
    try:
        check_machine(claim)
    except CannotBeMeasured:
        return False
    return True


def measure(claim: Claim, report: Callable[[float], None] = lambda fraction: None) -> Result:
    """Measure a claim now, without waiting for `measurement_lock`; raises ClaimError if there is no result.

    `report` receives the fraction of the work that is done, if the measurement reports it.
    """
    check_machine(claim)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    when, started = datetime.now(UTC), time.perf_counter()
    repetitions: list[Repetition] = []
    for item in claim.measure():
        if isinstance(item, Progress):
            report(item.share)
        else:
            repetitions.append(item)
    measured = spreads(repetitions)
    if claim.headline not in measured:
        raise ClaimError(
            f"measuring {claim.name} gave no number for {claim.headline!r}; correct its function"
        )
    verdict = claim.judge(measured)
    if verdict not in VERDICTS:
        raise ClaimError(
            f"{claim.name} was judged {verdict!r}, which is not one of {', '.join(VERDICTS)}; correct its judge"
        )
    headline = measured[claim.headline]
    return Result(
        name=claim.name,
        claim=claim.slogan,
        source=claim.source,
        measured=headline.middle,
        spread=(headline.low, headline.high),
        unit=claim.unit,
        verdict=verdict,
        settings={name: tuple(spread) for name, spread in measured.items()},
        within_noise=within_noise(measured, claim.nothing),
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
    """Return whether the claim's measurement or the rule of its verdict has changed since this result."""
    claim = get_claim(result.name)
    if result.fingerprint:
        same = result.fingerprint == fingerprint(claim.measure)
    else:  # of the first edition, which kept none
        same = result.unit == claim.unit
    if not same:
        return True
    measured = {name: Spread(*values) for name, values in result.settings.items()}
    return claim.headline not in measured or claim.judge(measured) != result.verdict


def versions() -> dict[str, str]:
    """Return the versions of the software that a result may depend on."""
    return {"glassbox": __version__, "python": platform.python_version(), "torch": metadata.version("torch")}


@contextmanager
def measurement_lock(path: Path | None = None, timeout: float = -1) -> Iterator[None]:
    """Hold the lock for measuring on this machine.

    Waits up to `timeout` seconds for another process that holds it, without limit if negative. Raises ClaimError after
    that.
    """
    try:
        with FileLock(path or LOCK, timeout=timeout, mode=0o666):
            yield
    except Timeout as error:
        raise ClaimError(
            "another measurement is running on this machine; try again when it has finished"
        ) from error


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock of this file now."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0, mode=0o666):
            return False
    except (Timeout, OSError):
        return True


def folder() -> Path:
    """Return the folder of results: `claims` in the runs folder."""
    return runs_folder() / FOLDERS[MEASUREMENT]


def claim_progress_file(name: str) -> Path:
    """Return the file to which the measurement of a claim writes its progress."""
    return progress_file(folder() / name)


@job_kind(KIND, slots=MEASUREMENT, seconds=SECONDS)
def _measure_claim(settings: Mapping[str, Any], report: Report) -> None:
    measure_exclusively(settings["name"])


def measure_exclusively(name: str) -> Result:
    """Wait for other measurements, measure, save the result for the pages, and return it."""
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
    """Return a function that writes the fraction done to a file, at most every REPORT_SECONDS."""
    last = -REPORT_SECONDS

    def report(fraction: float) -> None:
        nonlocal last
        if time.monotonic() - last >= REPORT_SECONDS:
            last = time.monotonic()
            write_json(path, {"share": fraction})

    return report


def last_result(name: str) -> Result | None:
    """Return the last result measured on this machine, or None."""
    try:
        return Result.from_dict(read_json(folder() / f"{name}.json"))
    except ClaimError:
        return None


def is_being_measured(name: str) -> bool:
    """Return whether a process is measuring this claim now, or waiting to."""
    return is_held(folder() / f"{name}.lock")


def machine_is_busy() -> bool:
    """Return whether a measurement is running on this machine."""
    return is_held(LOCK)
