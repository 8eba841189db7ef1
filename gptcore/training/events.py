"""The typed events of a training run; everything that follows a run reads these.

Every event knows its `step`, the `tokens` trained on so far and the `seconds` of training, pauses excluded.
"""

import json
import math
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """The three numbers that place an event in its run."""

    event: ClassVar[str]
    step: int
    tokens: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return what a line of `events.jsonl` holds; tensors and models stay out, and so does NaN."""
        shown = (f.name for f in fields(self) if not f.metadata.get("private"))
        return {"event": self.event} | {name: _plain(getattr(self, name)) for name in shown}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Start(Event):
    """What will be trained, on what, and what was found by measuring.

    `floor`, `uniform`, `unigram` and `bigram` are losses in nats a token: the entropy of the text's own
    generator (None if it is not known), a uniform prediction, one from token frequencies, and one from a table of
    token pairs.
    """

    event: ClassVar[str] = "start"
    config: dict[str, Any]
    n_parameters: int
    total_steps: int
    floor: float | None
    uniform: float
    unigram: float
    bigram: float
    bytes_per_token: float
    device: str
    precision: str
    attention_path: str
    threads: int
    measured: list[dict[str, Any]]
    notes: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Revised(Event):
    """A run that was given seconds knows its pace better: it will have `total_steps` from now on."""

    event: ClassVar[str] = "revision"
    total_steps: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained(Event):
    """One optimizer step: its loss in nats a token, averaged over all its windows."""

    event: ClassVar[str] = "step"
    loss: float
    lr: float
    grad_norm: float
    tokens_per_second: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated(Event):
    """The loss on held-out text, always the same windows."""

    event: ClassVar[str] = "eval"
    val_loss: float
    perplexity: float
    bits_per_byte: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled(Event):
    """What the model generates now, and for stories its story scores."""

    event: ClassVar[str] = "sample"
    text: str
    prompt: str
    ladder: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpointed(Event):
    """The whole state of the run, for the caller to store.

    `state` holds the live tensors, which the next step changes: use it before asking for the next event.
    """

    event: ClassVar[str] = "checkpoint"
    path: str | None = None
    state: Any = field(default=None, repr=False, metadata={"private": True})


@dataclass(frozen=True, kw_only=True, slots=True)
class Done(Event):
    """The end, with the model; `reason` is `steps`, `seconds`, `stopped` or, in a run's log, `paused`."""

    event: ClassVar[str] = "done"
    reason: str
    model: Any = field(default=None, repr=False, metadata={"private": True})


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed(Event):
    """The run cannot continue; `reason` says why in one sentence, `resumes` whether resuming may help."""

    event: ClassVar[str] = "failed"
    reason: str
    resumes: bool = False
