"""A class on one server: visitors for some minutes, some of them training, and what they met.

    python -m tests.load --visitors 30 --seconds 300 --training 2
    python -m tests.load --visitors 30 --interactions 5000

The second has the visitors hurry through a number of interactions, to see whether the server's memory grows. Either
starts a server of its own and visits no other.
"""

import math
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from gptcore.runs.footprint import Footprint, footprint
from gptcore.runs.run import list_runs
from tests.browser.conftest import Server, start_server, stop_server
from tests.load.visitors import HURRY_SECONDS, PAUSE_SECONDS, Interaction, Visitor
from tests.security.forged_client import Client

LEAVE_SECONDS = 180  # that the last answers may take
SETTLE_SECONDS = 60  # after the visitors left, before memory is measured again
# Streamlit keeps the session of a tab that was closed, which may return, with an event loop of three descriptors.
# It drops those that are older than two minutes, and of more than 128 the oldest, when another session ends.
KEPT_SECONDS = 125
MARK = 500  # interactions for which the server's memory is printed once


@dataclass(frozen=True)
class Lesson:
    """What a class met: every interaction, the server's footprint over time, the steps its runs made."""

    interactions: list[Interaction]
    before: Footprint
    course: list[tuple[int, Footprint]]  # each with the number of interactions until then
    after: Footprint
    later: Footprint  # once the sessions that were kept have been dropped
    steps: dict[str, int]

    @property
    def most(self) -> Footprint:
        """The footprint when memory was highest."""
        return max((taken for _, taken in self.course), key=lambda taken: taken.pss)

    def server_memory(self, first: int, last: int) -> float:
        """The median of the server's memory in bytes, between two numbers of interactions."""
        sizes = [taken.parts["server"] for n, taken in self.course if first <= n <= last]
        if not sizes:
            raise ValueError(f"no memory was measured between {first} and {last} interactions")
        return statistics.median(sizes)

    @property
    def errors(self) -> list[str]:
        return [met.error for met in self.interactions if met.error]

    @property
    def exceptions(self) -> list[str]:
        return [f"{met.page}: {said}" for met in self.interactions for said in met.exceptions]

    def table(self) -> str:
        """One line for each kind of action: how many, median, 95th percentile and longest wait in seconds."""
        lines = [f"{'action':12}{'n':>6}{'median':>9}{'p95':>9}{'most':>9}"]
        for action in sorted({met.action for met in self.interactions}):
            waits = sorted(met.seconds for met in self.interactions if met.action == action)
            p95 = waits[min(len(waits) - 1, int(0.95 * len(waits)))]
            lines.append(
                f"{action:12}{len(waits):6}{statistics.median(waits):9.2f}{p95:9.2f}{waits[-1]:9.2f}"
            )
        for name, taken in (
            ("before", self.before),
            ("at most", self.most),
            ("after", self.after),
            ("later", self.later),
        ):
            parts = ", ".join(f"{kind} {size / 1e6:,.0f}" for kind, size in sorted(taken.parts.items()))
            lines.append(
                f"{name}: {taken.pss / 1e6:,.0f} MB PSS ({parts}), {taken.processes} processes, "
                f"{taken.threads} threads, {taken.descriptors} descriptors"
            )
        spent = ", ".join(
            f"{kind} {seconds:,.0f}" for kind, seconds in sorted(self.course[-1][1].cpu.items())
        )
        lines.append(f"processor seconds: {spent}")
        for n in range(MARK, len(self.interactions) + 1, MARK):
            size = self.server_memory(n - MARK, n)
            lines.append(f"server around interaction {n - MARK // 2:,}: {size / 1e6:,.0f} MB")
        lines.append(f"steps trained: {self.steps}")
        lines.append(f"errors: {len(self.errors)}, exceptions shown: {len(self.exceptions)}")
        lines += self.errors[:10] + self.exceptions[:10]
        return "\n".join(lines)


def hold(
    folder: Path, n_visitors: int, seconds: float, n_training: int, n_interactions: int | None = None
) -> Lesson:
    """Start a cold server, let visitors use it for some seconds, and measure it before, meanwhile and after.

    With `n_interactions` they hurry, and leave as soon as they have so many.
    """
    server = start_server(folder)
    met: list[Interaction] = []
    leave = threading.Event()
    pause = PAUSE_SECONDS if n_interactions is None else HURRY_SECONDS
    try:
        before = footprint(server.process.pid, server.runs)
        course = [(0, before)]
        visitors = [
            threading.Thread(
                target=Visitor(server.url, number, met.append, pause).stay, args=(leave, number < n_training)
            )
            for number in range(n_visitors)
        ]
        for visitor in visitors:
            visitor.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(met) < (n_interactions or math.inf):
            time.sleep(2)
            course.append((len(met), footprint(server.process.pid, server.runs)))
        leave.set()
        for visitor in visitors:
            visitor.join(LEAVE_SECONDS)
        steps = {run.id[:8]: run.last_event().get("step", 0) for run in list_runs(folder=server.runs)}
        time.sleep(SETTLE_SECONDS)
        after = footprint(server.process.pid, server.runs)
        return Lesson(met, before, course, after, drop_kept_sessions(server), steps)
    finally:
        leave.set()
        stop_server(server)


def drop_kept_sessions(server: Server) -> Footprint:
    """Wait until the sessions of those who left are old, have one more visitor come and leave, and measure."""
    time.sleep(KEPT_SECONDS)
    with Client(server.url, f"{0:032d}"):
        pass
    time.sleep(2)  # in which the server notices that the connection is closed
    return footprint(server.process.pid, server.runs)
