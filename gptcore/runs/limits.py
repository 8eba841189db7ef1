"""What a machine that trains for others will do, and no more: one dataclass, read from the environment.

A laptop is generous, a hosted app is tight; both follow from the cores and the memory that are there, and each
number can be set by name (`GLASSBOX_RUNS_AT_ONCE=4`). What goes beyond the runs at once waits; what goes beyond
the others is refused with the number and the limit.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from gptcore.resources import available_cores, available_memory

PREFIX = "GLASSBOX_"
MEGABYTE = 1_000_000
BYTES_PER_PARAMETER = 16  # weight, gradient and two averages, in fp32
LAB_SECONDS = 3600  # how long a lab's run is kept


class LimitError(ValueError):
    """What was asked for is more than this machine allows, said in one sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much may be asked for. The environment names each field in capitals after GLASSBOX_."""

    hosted: bool  # for strangers: a run belongs to the browser that asked for it
    runs_at_once: int
    queue: int  # runs that may wait
    queue_per_visitor: int  # of which one visitor may have this many
    parameters: int
    seconds: float  # of training
    disk_mb: float  # that the runs folder may hold
    upload_mb: float
    keep_hours: float  # after which a run that nobody goes on with is removed

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        cores: int | None = None,
        memory: int | None = None,
    ) -> Self:
        """Return the limits of this machine; `cores` and `memory` (bytes) are found where they are not given.

        Raises LimitError for a value that is no number in its range.
        """
        environment = os.environ if environment is None else environment
        hosted = _flag(environment, "hosted")
        cores = cores or available_cores()
        memory = memory or available_memory()
        defaults = {
            "runs_at_once": max(1, min(cores // 2, memory // 2_000_000_000)),
            "queue": 60,
            "queue_per_visitor": 3 if hosted else 60,
            # A model takes its training state and about as much again for what a step computes.
            "parameters": max(2_000_000, memory // (2 * BYTES_PER_PARAMETER * (32 if hosted else 2))),
            "seconds": 600.0 if hosted else 7 * 86_400.0,
            "disk_mb": 4_000.0 if hosted else 100_000.0,
            "upload_mb": 20.0 if hosted else 200.0,
            "keep_hours": 72.0 if hosted else math.inf,
        }
        found = {name: _number(environment, name, default) for name, default in defaults.items()}
        return cls(hosted=hosted, **found)

    @property
    def file_widget_mb(self) -> int:
        """The same limit on uploads as a file widget takes it: whole megabytes, at least one."""
        return max(1, int(self.upload_mb))

    def check_parameters(self, n_parameters: int) -> None:
        if n_parameters > self.parameters:
            raise LimitError(
                f"this model has {n_parameters:,} parameters and {self.parameters:,} is the limit here; "
                "make it narrower, shallower or give it fewer tokens"
            )

    def check_seconds(self, seconds: float | None) -> None:
        if seconds is not None and seconds > self.seconds:
            raise LimitError(
                f"{seconds:,.0f} seconds of training are more than the {self.seconds:,.0f} a run may take here"
            )

    def check_upload(self, n_bytes: int, what: str = "this file") -> None:
        if n_bytes > self.upload_mb * MEGABYTE:
            raise LimitError(
                f"{what} has {n_bytes / MEGABYTE:,.1f} MB and {self.upload_mb:,.0f} MB is the limit here"
            )

    def check_disk(self, n_bytes: int) -> None:
        if n_bytes > self.disk_mb * MEGABYTE:
            raise LimitError(
                f"the runs here take {n_bytes / MEGABYTE:,.0f} MB of the {self.disk_mb:,.0f} MB they may take; "
                "delete a run that is no longer needed"
            )

    def check_queue(self, n_waiting: int, n_own: int) -> None:
        """Refuse one more waiting run where `n_waiting` wait, `n_own` of them the same visitor's."""
        if n_own >= self.queue_per_visitor:
            raise LimitError(
                f"{n_own} of your runs are waiting and {self.queue_per_visitor} is the limit for one visitor; "
                "wait until one of them has begun, or withdraw one"
            )
        if n_waiting >= self.queue:
            raise LimitError(f"{n_waiting} runs are waiting and {self.queue} is the limit; try again later")


def _flag(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(PREFIX + name.upper(), "").strip().lower()
    if value not in ("", "0", "1", "true", "false", "yes", "no"):
        raise LimitError(f"{PREFIX}{name.upper()}={value} is neither 1 nor 0")
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
        raise LimitError(f"{PREFIX}{name.upper()}={value} is not a {kind} above 0")
    return number


def names() -> list[str]:
    """Return the environment's name of every limit."""
    return [PREFIX + field.name.upper() for field in fields(Limits)]
