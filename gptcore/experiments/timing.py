"""The seconds of a call, by a clock that suits what is asked.

What a comparison costs one thread is read from the processor's own clock (`time.process_time`), which stands still
while other programs have the core: a busy machine then stretches nothing. What several threads or an accelerator
take is read from the wall.
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

    `wait` is called before the clock is read: an accelerator only notes down its work and does it later.
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

    Memory that was used stays with the process, as in training: whether it is handed back after each call would
    otherwise hang on what was measured before.
    """
    before = torch.get_num_threads()
    steady_heap()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
