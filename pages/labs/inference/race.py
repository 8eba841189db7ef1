"""Measuring one prompt in two lanes, with and without a cache, before anything is drawn.

The measurement is done in small chunks, so that the server can answer other visitors in between and the visitor can
stop it. Lanes take turns and run several times; the time shown for a position is the median over the runs. One race is
measured at a time, because two at once would slow each other down.
"""

import statistics
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field

from gptcore.generation.sampling import Step, generate
from pages.kit.models import ModelHandle

LANES = ("cache off", "cache on")
REPEATS = 3
# After this many seconds of measuring, no lane is repeated; each lane always runs once.
PATIENCE_SECONDS = 5.0
TEMPERATURE = 0.8
_measuring = threading.Lock()


@dataclass(slots=True)
class FrameClock:
    """Counts the runs of a fragment that reruns on a timer. The first is part of a run of the whole page.

    A whole run must never end in `st.rerun`: widgets it has not reached yet would lose their values.
    """

    n: int = 0

    def first(self) -> bool:
        self.n += 1
        return self.n == 1


@dataclass(frozen=True, slots=True)
class Entry:
    """The settings of a measurement: equal settings give equal tokens."""

    model: ModelHandle
    prompt: str
    n_new: int
    seed: int


@dataclass(slots=True)
class Lap:
    """One run of a lane: its tokens and the seconds each took."""

    lane: str
    tokens: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Race:
    """Both lanes with the same settings, as far as they have been measured."""

    entry: Entry
    laps: list[Lap] = field(default_factory=list)
    steps: Generator[Step, None, str] | None = None  # of the current lap, None between laps
    measured_seconds: float = 0.0  # of all laps together

    def work(self, model: ModelHandle, seconds: float) -> None:
        """Measure for about this many more seconds, unless a race is being measured already.

        Raises ValueError for a prompt that cannot be continued.
        """
        if not _measuring.acquire(blocking=False):
            return
        try:
            self._work(model, seconds)
        finally:
            _measuring.release()

    def _work(self, model: ModelHandle, seconds: float) -> None:
        started = time.perf_counter()
        while not self.ended and time.perf_counter() - started < seconds:
            if self.steps is None:
                lane = LANES[len(self.laps) % len(LANES)]
                self.steps = _start(model, self.entry, lane)
                self.laps.append(Lap(lane))
            try:
                step = next(self.steps, None)
            except ValueError:
                self.steps = None
                self.laps.pop()
                raise
            if step is None:
                self.steps = None
            else:
                self.laps[-1].tokens.append(step.token_id)
                self.laps[-1].seconds.append(step.seconds)
        self.measured_seconds += time.perf_counter() - started

    @property
    def ended(self) -> bool:
        if self.steps is not None or len(self.laps) % len(LANES) or not self.laps:
            return False
        return len(self.laps) >= REPEATS * len(LANES) or self.measured_seconds > PATIENCE_SECONDS

    @property
    def lap(self) -> Lap:
        """The current lap, or the first one if none has started."""
        return self.laps[-1] if self.laps else Lap(LANES[0])

    @property
    def progress(self) -> float:
        """The fraction of the measurement that is done."""
        done = sum(len(lap.tokens) for lap in self.laps)
        return min(1.0, done / (REPEATS * len(LANES) * max(1, self.entry.n_new)))

    def finished(self, lane: str) -> list[Lap]:
        """The finished laps of a lane."""
        laps = self.laps if self.steps is None else self.laps[:-1]
        return [lap for lap in laps if lap.lane == lane]

    @property
    def is_comparable(self) -> bool:
        """Whether each lane has finished at least once."""
        return all(self.finished(lane) for lane in LANES)

    def seconds(self, lane: str) -> list[float]:
        """The median seconds of each new token in a lane, over its laps."""
        return [statistics.median(times) for times in zip(*(lap.seconds for lap in self.finished(lane)))]

    def tokens(self, lane: str) -> list[int]:
        """The tokens of a lane's first lap."""
        return self.finished(lane)[0].tokens

    def first_difference(self) -> int | None:
        """The index of the first new token in which any two laps differ; None if all are the same."""
        laps = [lap.tokens for lane in LANES for lap in self.finished(lane)]
        return first_difference(laps)


def first_difference(texts: list[list[int]]) -> int | None:
    """The first index at which the lists of tokens differ, their ends included; None if they are equal."""
    shortest = min(map(len, texts))
    for position in range(shortest):
        if len({text[position] for text in texts}) > 1:
            return position
    return None if len({len(text) for text in texts}) == 1 else shortest


def smooth(values: list[float], width: int = 9) -> list[float]:
    """The running median over `width` values, fewer at the ends."""
    half = width // 2
    return [statistics.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]


def _start(model: ModelHandle, entry: Entry, lane: str) -> Generator[Step, None, str]:
    ids = model.tokenizer.encode(entry.prompt) or [model.tokenizer.eot_id]
    return generate(
        model.model,
        ids,
        entry.n_new,
        temperature=TEMPERATURE,
        use_cache=lane == "cache on",
        seed=entry.seed,
        n_alternatives=0,
    )
