"""Kinds of background jobs: what each does, its limits, and the slots it takes.

A module registers its kinds when it is imported:

    @job_kind("rate_finder", slots=BACKGROUND, seconds=120)
    def find_rate(settings, report): ...

A message from the server to a worker names a kind and the module that registers it. The worker imports that module and
runs what is registered there under that name, and nothing else. A request that waits on disk names its kind alone.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from gptcore.resources import available_cores

ERROR = "error: "  # how the last line on standard error begins when a job or a command fails
NICENESS = 5  # of every job, so that the server answers first
MEMORY_MB = 4_000  # of data in a job that serves a page

TRAINING, MEASUREMENT, INTERACTIVE, BACKGROUND = "training", "measurement", "interactive", "background"

# Where the requests for slots wait on disk, in a runs folder. The others wait in the supervisor's memory.
FOLDERS = {TRAINING: "", MEASUREMENT: "claims"}

# The modules that register the kinds whose requests wait on disk, where they outlive a module's move.
QUEUED_KINDS = {
    "train": "gptcore.runs.execute",
    "resume": "gptcore.runs.execute",
    "claim": "gptcore.experiments.claims",
}

Report = Callable[[Any], None]  # receives a JSON value with the progress of a job
Work = Callable[[Mapping[str, Any], Report], Any]  # settings and result are what JSON can hold


class JobError(ValueError):
    """A job without a result, explained in one sentence; `cause` is `failed`, `timeout`, `ended` or `cancelled`."""

    def __init__(self, sentence: str, cause: str = "failed"):
        super().__init__(sentence)
        self.cause = cause


@dataclass(frozen=True, kw_only=True, slots=True)
class JobKind:
    """A kind of job: the function that does the work, and under which limits.

    `slots` says which jobs it shares a number of slots with (see `n_slots`). `seconds` from when a job begins,
    `memory_mb` and `cpu_seconds` of processor time are limits, None for none; where the seconds are limited, so is
    the processor time, to as much on every core. Runs have none here, since theirs follow from `Limits`. A job that
    does not outlive its server is ended with it.
    """

    name: str
    module: str  # registers it when imported
    work: Work
    slots: str
    seconds: float | None = None
    memory_mb: int | None = None
    cpu_seconds: float | None = None
    outlives_server: bool = False
    niceness: int = NICENESS

    def most_cpu_seconds(self, seconds: float | None) -> float | None:
        """Return the limit on processor time of a job that may take `seconds`, None for none."""
        if self.cpu_seconds is not None or seconds is None:
            return self.cpu_seconds
        return seconds * available_cores()


_kinds: dict[str, JobKind] = {}
_skipped: set[str] = set()  # sentences that the log of this process holds already


def job_kind(name: str, *, slots: str, **limits: Any) -> Callable[[Work], Work]:
    """Register a function as a kind of job; `limits` are further fields of JobKind."""

    def register(work: Work) -> Work:
        kind = JobKind(name=name, module=work.__module__, work=work, slots=slots, **limits)
        if _kinds.setdefault(name, kind).module != kind.module:
            raise ValueError(
                f"{_kinds[name].module} and {kind.module} both register the kind of job {name!r}"
            )
        _kinds[name] = kind
        return work

    return register


def registered_kind(name: str) -> JobKind:
    """Return the kind of job that a module imported here has registered under this name; raises JobError."""
    if name not in _kinds:
        raise JobError(f"no loaded module registers the kind of job {name!r}")
    return _kinds[name]


def queued_kind_module(name: str) -> str:
    """Return the module that registers a kind whose requests wait on disk; raises JobError."""
    if name not in QUEUED_KINDS:
        raise JobError(f"the kind of job {name!r} cannot be stored in the queue")
    return QUEUED_KINDS[name]


def find_kind(name: str, module: str) -> JobKind:
    """Import a module and return the kind of job it registers under this name; raises JobError."""
    try:
        import_module(module)
    except Exception as error:  # whatever a module raises, the process that imports it goes on
        sentence = error_sentence(error)
        raise JobError(f"the module of the job {name!r} cannot be imported: {sentence}") from error
    kind = _kinds.get(name)
    if kind is None or kind.module != module:
        raise JobError(f"{module} does not register the kind of job {name!r}")
    return kind


def n_slots(slots: str, runs_at_once: int = 1) -> int:
    """Return how many jobs may run at once in these slots.

    A measurement runs alone, since it takes times. Somebody waits for interactive jobs, so background ones leave
    them cores.
    """
    cores = available_cores()
    numbers = {TRAINING: runs_at_once, MEASUREMENT: 1, INTERACTIVE: cores, BACKGROUND: max(1, cores // 2)}
    if slots not in numbers:
        raise ValueError(f"there are no slots {slots!r}")
    return numbers[slots]


def is_lack_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there is not enough memory; torch and safetensors have their own words."""
    words = ("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def error_sentence(error: BaseException) -> str:
    """Return an error as one sentence on one line."""
    if is_lack_of_memory(error):
        return "it needed more memory than a job may use"
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}; free some space or choose another directory"
    return " ".join(str(error).split()) or type(error).__name__


def append_error(log: Path, sentence: str) -> None:
    """Say in the log of a queued job why it ended, where the disk takes it."""
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
        file.write(f"{ERROR}{sentence}\n")


def log_line(sentence: str) -> None:
    """Write a line to the log of this process: what was skipped so that the rest could go on."""
    with contextlib.suppress(OSError, ValueError):  # a server that is gone reads no log
        print(sentence, file=sys.stderr, flush=True)


@contextlib.contextmanager
def skipped_on_error(path: Path) -> Iterator[None]:
    """Skip what is wrong with one run or request, so that the others are served; the log says so once."""
    try:
        yield
    except Exception as error:
        sentence = f"{path.name} is skipped ({type(error).__name__}): {error_sentence(error)}"
        if sentence not in _skipped:
            if len(_skipped) >= 1000:
                _skipped.clear()
            _skipped.add(sentence)
            log_line(sentence)


def last_error(log: Path) -> str | None:
    """Return the sentence with which a job ended badly, from what it wrote to standard error; None without one."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    sentences = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
    return sentences[-1] if sentences else None
