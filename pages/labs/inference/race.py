"""Measuring one prompt in two lanes, with and without a cache, before anything is drawn.

The measurement is taken in pieces, so that a server answers other visitors in between and the visitor can
stop it. Lanes take turns and run several times: what is shown for a position is the median over the runs. One race is
measured at a time, since two at once would measure each other.
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
# After so many seconds of measuring nothing is repeated any more; each lane is always run once.
PATIENCE_SECONDS = 5.0
TEMPERATURE = 0.8
_measuring = threading.Lock()


@dataclass(slots=True)
class FrameClock:
    """Counts the runs of a fragment that renews itself. The first is part of a run of the whole page.

    A whole run must never end in `st.rerun`: widgets it has not come to yet would lose their values.
    """

    n: int = 0

    def first(self) -> bool:
        self.n += 1
        return self.n == 1


@dataclass(frozen=True, slots=True)
class Entry:
    """What a race is about: equal entries give equal tokens."""

    model: ModelHandle
    prompt: str
    n_new: int
    seed: int


@dataclass(slots=True)
class Lap:
    """One lane run once: its tokens and the seconds each took."""

    lane: str
    tokens: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Race:
    """Both lanes of an entry, as far as they have been measured."""

    entry: Entry
    laps: list[Lap] = field(default_factory=list)
    steps: Generator[Step, None, str] | None = None  # of the last lap, while it is under way
    spent: float = 0.0  # seconds of measuring, all laps together
    anew: bool = False  # asked for by the button: what was measured for another visitor does not do

    def work(self, model: ModelHandle, seconds: float) -> None:
        """Go on measuring for about so long, unless another race is being measured.

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
            step = next(self.steps, None)
            if step is None:
                self.steps = None
            else:
                self.laps[-1].tokens.append(step.token_id)
                self.laps[-1].seconds.append(step.seconds)
        self.spent += time.perf_counter() - started

    def close(self) -> None:
        """Leave out a lap that was stopped half-way."""
        if self.steps is not None:
            self.steps = None
            self.laps.pop()

    @property
    def ended(self) -> bool:
        if self.steps is not None or len(self.laps) % len(LANES) or not self.laps:
            return False
        return len(self.laps) >= REPEATS * len(LANES) or self.spent > PATIENCE_SECONDS

    @property
    def lap(self) -> Lap:
        """The lap that is run, or will be first."""
        return self.laps[-1] if self.laps else Lap(LANES[0])

    @property
    def share(self) -> float:
        """How far the measurement is, from 0 to 1."""
        done = sum(len(lap.tokens) for lap in self.laps)
        return min(1.0, done / (REPEATS * len(LANES) * max(1, self.entry.n_new)))

    def whole(self, lane: str) -> list[Lap]:
        """The laps of a lane that have come to their end."""
        laps = self.laps if self.steps is None else self.laps[:-1]
        return [lap for lap in laps if lap.lane == lane]

    @property
    def shown(self) -> bool:
        """Whether there is something to compare: each lane has come to its end once."""
        return all(self.whole(lane) for lane in LANES)

    def seconds(self, lane: str) -> list[float]:
        """The median seconds of each new token in a lane, over its laps."""
        return [statistics.median(times) for times in zip(*(lap.seconds for lap in self.whole(lane)))]

    def tokens(self, lane: str) -> list[int]:
        """The tokens a lane wrote, the first time."""
        return self.whole(lane)[0].tokens

    def first_difference(self) -> int | None:
        """The first new token in which two laps differ, of any lane; None where all wrote the same."""
        laps = [lap.tokens for lane in LANES for lap in self.whole(lane)]
        return first_difference(laps)


def first_difference(texts: list[list[int]]) -> int | None:
    """The first place at which not all lists of tokens are the same, their ends included; None if they are."""
    shortest = min(map(len, texts))
    for place in range(shortest):
        if len({text[place] for text in texts}) > 1:
            return place
    return None if len({len(text) for text in texts}) == 1 else shortest


def smooth(values: list[float], width: int = 9) -> list[float]:
    """The median of each value and its neighbors, `width` together, fewer at the ends."""
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
