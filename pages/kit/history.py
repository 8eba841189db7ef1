"""A training run's events as columns, and what can be read off them without drawing."""

import bisect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gptcore.training.interruption import OVERRUN

RECENT = 0.7  # of the steps so far, after which the pace is taken


@dataclass(slots=True)
class History:
    """The events of a run as columns, ready to draw."""

    name: str = "run"
    start: Mapping[str, Any] = field(default_factory=dict)
    end: Mapping[str, Any] = field(default_factory=dict)
    revised_steps: int | None = None  # how many the run is to have, where its first estimate was revised
    tokens: int = 0  # read so far
    steps: list[int] = field(default_factory=list)
    tokens_seen: list[int] = field(default_factory=list)  # at each of these steps
    seconds: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    tokens_per_second: list[float] = field(default_factory=list)
    eval_steps: list[int] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    samples: list[Mapping[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]], name: str = "run") -> "History":
        """The history these events tell."""
        history = cls(name=name)
        history.add(events)
        return history

    def add(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Sort further events into the columns; kinds it does not know are left out."""
        for event in events:
            match event["event"]:
                case "start":
                    self.start = event
                case "revision":
                    self.revised_steps = event["total_steps"]
                case "step":
                    self.tokens = event["tokens"]
                    self.steps.append(event["step"])
                    self.tokens_seen.append(event["tokens"])
                    self.seconds.append(event["seconds"])
                    self.loss.append(_number(event["loss"]))
                    self.lr.append(_number(event["lr"]))
                    self.grad_norm.append(_number(event["grad_norm"]))
                    self.tokens_per_second.append(_number(event["tokens_per_second"]))
                case "eval":
                    self.eval_steps.append(event["step"])
                    self.val_loss.append(_number(event["val_loss"]))
                case "sample":
                    self.samples.append(event)
                case "done" | "failed":
                    self.end = event

    def until(self, seconds: float) -> "History":
        """The history as it was after so many seconds of training; the end is not part of it."""
        n = bisect.bisect_right(self.seconds, seconds)
        last = self.steps[n - 1] if n else 0
        n_evals = bisect.bisect_right(self.eval_steps, last)
        columns = ("steps", "tokens_seen", "seconds", "loss", "lr", "grad_norm", "tokens_per_second")
        return replace(
            self,
            end={},
            tokens=self.tokens_seen[n - 1] if n else 0,
            **{name: getattr(self, name)[:n] for name in columns},
            eval_steps=self.eval_steps[:n_evals],
            val_loss=self.val_loss[:n_evals],
            samples=[sample for sample in self.samples if sample["step"] <= last],
        )

    @property
    def total_steps(self) -> int:
        return self.revised_steps or self.start.get("total_steps") or (self.steps[-1] if self.steps else 1)

    @property
    def last_step(self) -> int:
        return self.steps[-1] if self.steps else 0

    @property
    def given_seconds(self) -> float | None:
        """The seconds of training the run was given; None for one that was given steps."""
        return self.start.get("config", {}).get("train", {}).get("seconds")

    @property
    def fraction_done(self) -> float:
        """How much of the run is over, from 0 to 1: all of it once it has used its steps or its seconds."""
        if self.end.get("reason") in ("steps", "seconds"):
            return 1.0
        by_steps = self.last_step / self.total_steps if self.start else 0.0
        by_time = (
            self.seconds[-1] / (OVERRUN * self.given_seconds) if self.seconds and self.given_seconds else 0.0
        )
        return min(1.0, max(by_steps, by_time))

    @property
    def seconds_left(self) -> float | None:
        """What the steps still to come will take, evaluations and samples included; None before there is a pace.

        The pace is that of the last steps, since windows may have grown. A run that was given seconds ends at
        `OVERRUN` times them at the latest.
        """
        if len(self.steps) < 2 or not self.seconds[-1]:
            return None
        since = min(len(self.steps) - 2, int(RECENT * len(self.steps)))
        pace = (self.seconds[-1] - self.seconds[since]) / (self.steps[-1] - self.steps[since])
        left = pace * max(0, self.total_steps - self.steps[-1])
        if self.given_seconds:
            left = min(left, OVERRUN * self.given_seconds - self.seconds[-1])
        return max(0.0, left)


@dataclass(frozen=True, slots=True)
class LateGains:
    """What a run still learned after most of its fall in loss was over."""

    step: int  # the first scored step with nine tenths of the fall behind it
    grammar: float
    loss_moved: float
    loss_all: float
    names_then: float
    names_now: float


def late_gains(history: History, *, share: float = 0.9) -> LateGains | None:
    """Measure how the scores changed after the fraction `share` of the drop in validation loss; None where
    unknown."""
    losses = list(zip(history.eval_steps, history.val_loss))
    if not losses:
        return None
    both = [  # each sample with the loss that was measured nearest to it
        (s["step"], min(losses, key=lambda point: abs(point[0] - s["step"]))[1], s["ladder"])
        for s in history.samples
        if s.get("ladder") and s["ladder"].get("names") is not None
    ]
    if len(both) < 3 or not history.val_loss[0] > both[-1][1]:
        return None
    first, last = history.val_loss[0], both[-1]
    step, loss, then = next(point for point in both if first - point[1] >= share * (first - last[1]))
    return LateGains(step, then["rate"], loss - last[1], first - last[1], then["names"], last[2]["names"])


def _number(value: float | None) -> float:
    # A loss that is NaN or infinite is written as null; a gap in the curve is what it means.
    return math.nan if value is None else value
