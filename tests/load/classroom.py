"""A class on one server: visitors for some minutes, some of them training, and what they met.

    python -m tests.load --visitors 30 --seconds 300 --training 2

It starts a server of its own and visits no other.
"""

import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from gptcore.runs.footprint import Footprint, footprint
from gptcore.runs.run import list_runs
from tests.browser.conftest import start_server, stop_server
from tests.load.visitors import Interaction, Visitor

LEAVE_SECONDS = 180  # that the last answers may take
SETTLE_SECONDS = 60  # after the visitors left, before memory is measured again


@dataclass(frozen=True)
class Lesson:
    """What a class met: every interaction, the server's footprint over time, the steps its runs made."""

    interactions: list[Interaction]
    before: Footprint
    most: Footprint
    after: Footprint
    steps: dict[str, int]

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
        for name, taken in (("before", self.before), ("at most", self.most), ("after", self.after)):
            parts = ", ".join(f"{kind} {size / 1e6:,.0f}" for kind, size in sorted(taken.parts.items()))
            lines.append(
                f"{name}: {taken.pss / 1e6:,.0f} MB PSS ({parts}), {taken.processes} processes, "
                f"{taken.threads} threads, {taken.descriptors} descriptors"
            )
        spent = ", ".join(f"{kind} {seconds:,.0f}" for kind, seconds in sorted(self.most.cpu.items()))
        lines.append(f"processor seconds when memory was highest: {spent}")
        lines.append(f"steps trained: {self.steps}")
        lines.append(f"errors: {len(self.errors)}, exceptions shown: {len(self.exceptions)}")
        lines += self.errors[:10] + self.exceptions[:10]
        return "\n".join(lines)


def hold(folder: Path, n_visitors: int, seconds: float, n_training: int) -> Lesson:
    """Start a cold server, let visitors use it for some seconds, and measure it before, meanwhile and after."""
    server = start_server(folder)
    met: list[Interaction] = []
    leave = threading.Event()
    try:
        before = most = footprint(server.process.pid, server.runs)
        visitors = [
            threading.Thread(
                target=Visitor(server.url, number, met.append).stay, args=(leave, number < n_training)
            )
            for number in range(n_visitors)
        ]
        for visitor in visitors:
            visitor.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(2)
            most = max(most, footprint(server.process.pid, server.runs), key=lambda taken: taken.pss)
        leave.set()
        for visitor in visitors:
            visitor.join(LEAVE_SECONDS)
        steps = {run.id[:8]: run.last_event().get("step", 0) for run in list_runs(folder=server.runs)}
        time.sleep(SETTLE_SECONDS)
        return Lesson(met, before, most, footprint(server.process.pid, server.runs), steps)
    finally:
        leave.set()
        stop_server(server)
