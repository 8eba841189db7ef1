"""Time measurement: the seconds of a call, by wall clock or processor time.

Comparisons on one thread use processor time (`time.process_time`), which does not count while other programs use the
core. Work on several threads or an accelerator uses the wall clock.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from gptcore.training.devices import steady_heap


def seconds(
    call: Callable[[], object],
    *,
    least: float = 0.03,
    wait: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the seconds of one call: the mean over as many as take `least` together, the first not counted.

    `wait` is called before the clock is read, because an accelerator works asynchronously.
    """
    call()
    wait()
    started, calls = clock(), 0
    while calls < 2 or clock() - started < least:
        call()
        calls += 1
        if calls % 16 == 0:
            wait()
    wait()
    return (clock() - started) / calls


def processor_seconds(call: Callable[[], object], *, least: float = 0.03) -> float:
    """Return the processor's seconds of one call; meant for one thread (see `single_thread`)."""
    return seconds(call, least=least, clock=time.process_time)


@contextmanager
def single_thread() -> Iterator[None]:
    """Have torch compute with one thread, so that the processor's clock counts what the wall would alone.

    Freed memory stays with the process, as in training; otherwise the result would depend on what was measured
    before.
    """
    before = torch.get_num_threads()
    steady_heap()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
