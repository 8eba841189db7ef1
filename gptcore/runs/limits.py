"""What a machine that trains for others will do, and no more: one dataclass, read from the environment.

A laptop is generous, a hosted app is tight; both follow from the cores and the memory that are there, and each
number can be set by name (`GLASSBOX_RUNS_AT_ONCE=4`). What goes beyond the runs at once waits; what goes beyond
the others is refused with the number and the limit.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

from gptcore.resources import available_cores, available_memory

if TYPE_CHECKING:  # importing it takes torch, which the first words of a page need not wait for
    from gptcore.config import ModelConfig, TrainConfig

PREFIX = "GLASSBOX_"
RAY = "GLASSBOX_RAY"  # where it is set, runs train on a cluster and not in this machine's memory
MEGABYTE = 1_000_000
BYTES_PER_PARAMETER = 16  # weight, gradient and two averages, in fp32
# That a run's process shares with no other, besides its steps: 350 to 370 MB were measured.
RUN_BYTES = 340 * MEGABYTE
LAB_SECONDS = 3600  # how long a lab's run is kept
MAX_CONTEXT = (
    4096  # positions of an uploaded model; pages show no more, and a longer cache costs every visitor
)
GPU_FACTOR = 16  # at home a GPU may hold what the machine's memory does not


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceilings:
    """The largest sizes that a model and its training may have, where only their product with others is limited."""

    layers: int
    heads: int
    vocabulary: int
    context: int
    steps: int
    step_tokens: int  # batch × accumulation × window
    evaluation_batches: int  # n_evals × eval_batches
    samples: int
    threads: int


HOSTED = Ceilings(
    layers=256,
    heads=256,
    vocabulary=300_000,
    context=MAX_CONTEXT,
    steps=1_000_000,
    step_tokens=1_000_000,
    evaluation_batches=10_000,
    samples=200,
    threads=64,
)
AT_HOME = Ceilings(
    layers=1024,
    heads=16_384,
    vocabulary=10_000_000,
    context=1_048_576,
    steps=10**12,
    step_tokens=100_000_000,
    evaluation_batches=10_000_000,
    samples=1_000_000,
    threads=1024,
)


class LimitError(ValueError):
    """A request that exceeds a limit of this machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The limits of requests. The environment names each field in capitals after GLASSBOX_."""

    hosted: bool  # for strangers: a run belongs to the browser that started it
    runs_at_once: int
    queue: int  # runs that may wait
    queue_per_visitor: int  # of which one visitor may have this many
    parameters: int
    seconds: float  # of training
    memory_mb: float  # resident, of one run and the processes it starts
    disk_mb: float  # that the runs folder may hold
    upload_mb: float
    keep_hours: float  # after which an unused run is removed

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        cores: int | None = None,
        memory: int | None = None,
    ) -> Self:
        """Return the limits of this machine; `cores` and `memory` (bytes) are found where they are not given.

        Raises LimitError for a value that is not a number in its range.
        """
        environment = os.environ if environment is None else environment
        hosted = is_hosted(environment)
        cores = cores or available_cores()
        memory = memory or available_memory()
        runs_at_once = max(1, min(cores // 2, memory // 2_000_000_000))
        sharing = runs_at_once if environment.get(RAY) else _number(environment, "runs_at_once", runs_at_once)
        defaults = {
            "runs_at_once": runs_at_once,
            "queue": 60,
            "queue_per_visitor": 3 if hosted else 60,
            # A model takes its training state and about as much again for what a step computes.
            "parameters": max(2_000_000, memory // (2 * BYTES_PER_PARAMETER * (32 if hosted else 2))),
            "seconds": 600.0 if hosted else 7 * 86_400.0,
            # As much again as for one run is left for the pages. The preset of the pages takes 500 MB.
            "memory_mb": max(1_000.0, (memory / (sharing + 1) if hosted else 0.9 * memory) / MEGABYTE),
            "disk_mb": 4_000.0 if hosted else 100_000.0,
            "upload_mb": 20.0 if hosted else 200.0,
            "keep_hours": 72.0 if hosted else math.inf,
        }
        values = {name: _number(environment, name, default) for name, default in defaults.items()}
        return cls(hosted=hosted, **values)

    @property
    def file_widget_mb(self) -> int:
        """The same limit on uploads as a file widget takes it: whole megabytes, at least one."""
        return max(1, int(self.upload_mb))

    @property
    def ceilings(self) -> Ceilings:
        """The largest single sizes."""
        return HOSTED if self.hosted else AT_HOME

    def check_model(self, config: "ModelConfig") -> None:
        """Raise LimitError for a model that is too large to be built here; call it before anything is built."""
        from gptcore.account import cache_bytes, n_parameters

        most = self.ceilings
        for number, limit, what in (
            (config.n_layers, most.layers, "layers"),
            (max(config.n_heads, config.n_kv_heads), most.heads, "attention heads"),
            (config.vocab_size, most.vocabulary, "tokens in the vocabulary"),
            (config.context_length, most.context, "positions of context"),
        ):
            if number > limit:
                raise LimitError(
                    f"{_grouped(number)} {what} exceed the limit of {limit:,} for a model; choose a smaller model"
                )
        self.check_parameters(n_parameters(config))
        tables = 12 * config.context_length * max(config.d_model, config.head_dim)  # cosines, sines, angles
        self._check_memory(
            tables + cache_bytes(config, config.context_length),
            "a text as long as this model's context",
            "shorten the context or make the model narrower",
        )

    def check_training(self, model: "ModelConfig", train: "TrainConfig") -> None:
        """Raise LimitError for training that takes more than is allowed here: time, work per step or memory.

        `model` is the shape that is trained, which `check_model` has passed.
        """
        from gptcore.account import step_bytes

        self.check_seconds(train.seconds)
        most, window = self.ceilings, min(train.window_length or model.context_length, model.context_length)
        for number, limit, what in (
            (train.steps or 0, most.steps, "steps"),
            (train.batch_size * train.accumulation * window, most.step_tokens, "tokens in one step"),
            (train.n_evals * train.eval_batches, most.evaluation_batches, "batches for evaluation"),
            (train.n_samples, most.samples, "samples"),
            (train.threads if isinstance(train.threads, int) else 1, most.threads, "threads"),
        ):
            if number > limit:
                raise LimitError(
                    f"{_grouped(number)} {what} exceed the limit of {limit:,} for a run; choose a smaller number"
                )
        if train.compile and self.hosted:
            raise LimitError(
                "compile=true is not allowed here, because compiling uses every core for a minute; use "
                "compile=false"
            )
        self._check_memory(
            step_bytes(model, train, train.batch_size, window),
            "one step of this training",
            "choose a smaller batch_size, window_length or model",
        )

    def check_request(self, model: "ModelConfig", train: "TrainConfig") -> None:
        """Raise LimitError for a model and its training, one of which is more than is allowed here."""
        self.check_model(model)
        self.check_training(model, train)

    def check_free_memory(self, model: "ModelConfig", train: "TrainConfig", unused: int) -> None:
        """Raise LimitError for training that needs more than the `unused` bytes of memory that are left now."""
        if (needed := run_bytes(model, train)) > unused:
            raise LimitError(
                f"this run needs at least {_grouped(needed // MEGABYTE)} MB of memory, and "
                f"{_grouped(unused // MEGABYTE)} MB are free; wait until another run ends, or choose a smaller model"
            )

    def _check_memory(self, n_bytes: int, what: str, advice: str) -> None:
        limit = self.memory_mb * MEGABYTE * (1 if self.hosted else GPU_FACTOR)
        if n_bytes > limit:
            raise LimitError(
                f"{what} needs at least {_grouped(n_bytes // MEGABYTE)} MB of memory, "
                f"and the limit is {limit / MEGABYTE:,.0f} MB; {advice}"
            )

    def check_parameters(self, n_parameters: int) -> None:
        if n_parameters > self.parameters:
            raise LimitError(
                f"this model has {_grouped(n_parameters)} parameters, and the limit is {self.parameters:,}; "
                "reduce the width, the layers or the vocabulary"
            )

    def check_seconds(self, seconds: float | None) -> None:
        if seconds is not None and seconds > self.seconds:
            raise LimitError(
                f"{_grouped(round(seconds))} seconds of training exceed the limit of {self.seconds:,.0f}; "
                "choose a shorter time"
            )

    def check_upload(self, n_bytes: int, what: str = "this file") -> None:
        if n_bytes > self.upload_mb * MEGABYTE:
            raise LimitError(
                f"{what} has {n_bytes / MEGABYTE:,.1f} MB, and the limit is {self.upload_mb:,.0f} MB; choose "
                "a smaller file"
            )

    def check_disk(self, n_bytes: int) -> None:
        if n_bytes > self.disk_mb * MEGABYTE:
            raise LimitError(
                f"the runs use {n_bytes / MEGABYTE:,.0f} MB of disk, and the limit is {self.disk_mb:,.0f} MB; "
                "delete a run you no longer need"
            )

    def check_queue(self, n_waiting: int, n_own: int) -> None:
        """Refuse one more waiting run where `n_waiting` wait, `n_own` of them the same visitor's."""
        if n_own >= self.queue_per_visitor:
            raise LimitError(
                f"{n_own} of your runs are waiting, and the limit per visitor is {self.queue_per_visitor}; "
                "wait until one of them starts, or cancel one"
            )
        if n_waiting >= self.queue:
            raise LimitError(f"{n_waiting} runs are waiting, and the limit is {self.queue}; try again later")


def run_bytes(model: "ModelConfig", train: "TrainConfig") -> int:
    """Return the bytes that a run takes at least: those of its process, and of one step."""
    from gptcore.account import step_bytes

    window = min(train.window_length or model.context_length, model.context_length)
    return RUN_BYTES + step_bytes(model, train, train.batch_size, window)


def _grouped(number: int) -> str:
    """Return a whole number with commas; one that is too long to read by its power of ten."""
    if number < 10**15:
        return f"{number:,}"
    return f"about 10^{len(str(number)) - 1}"


def is_hosted(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether the app is there for strangers; raises LimitError for a value that is neither 1 nor 0."""
    return _flag(os.environ if environment is None else environment, "hosted")


def _flag(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(PREFIX + name.upper(), "").strip().lower()
    if value not in ("", "0", "1", "true", "false", "yes", "no"):
        raise LimitError(f"{PREFIX}{name.upper()}={value} must be 1 or 0")
    return value in ("1", "true", "yes")


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    """Return a limit from the environment: above 0, and whole where its default is."""
    value = environment.get(PREFIX + name.upper(), "").strip()
    if not value:
        return default
    try:
        number = type(default)(value)
    except ValueError:
        number = math.nan
    if not number > 0:
        kind = "whole number" if isinstance(default, int) else "number"
        raise LimitError(f"{PREFIX}{name.upper()}={value} must be a {kind} greater than 0")
    return number


def names() -> list[str]:
    """Return the environment's name of every limit."""
    return [PREFIX + field.name.upper() for field in fields(Limits)]
