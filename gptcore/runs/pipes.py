"""Waiting for whatever any of several pipes brings.

A process that forks must have one thread, so it waits with `select`. Windows selects sockets only, so where nothing
forks each pipe has a thread that reads it.
"""

import os
import queue
import selectors
import threading

READ_BYTES = 1 << 20


class SelectedPipes:
    """Pipes read by the one thread there is."""

    def __init__(self):
        self._selector = selectors.DefaultSelector()

    def watch(self, pipe: int) -> None:
        """Read this pipe from now on."""
        self._selector.register(pipe, selectors.EVENT_READ)

    def close(self, pipe: int) -> None:
        """Read this pipe no longer."""
        self._selector.unregister(pipe)
        os.close(pipe)

    def read(self, seconds: float) -> list[tuple[int, bytes]]:
        """Wait up to `seconds`; return what pipes have brought, no bytes from one that has ended."""
        return [(key.fd, os.read(key.fd, READ_BYTES)) for key, _ in self._selector.select(seconds)]


class ThreadedPipes:
    """Pipes read by a thread each, which closes its pipe at the end: closing one that is being read would wait."""

    def __init__(self):
        self._watched: dict[int, object] = {}  # by pipe, what tells it from a later pipe of the same number
        self._brought: queue.SimpleQueue[tuple[int, object, bytes]] = queue.SimpleQueue()

    def watch(self, pipe: int) -> None:
        """Read this pipe from now on."""
        identity = self._watched[pipe] = object()
        threading.Thread(target=self._read_to_end, args=(pipe, identity), daemon=True).start()

    def close(self, pipe: int) -> None:
        """Read this pipe no longer; its other end must have closed, or be about to."""
        del self._watched[pipe]

    def read(self, seconds: float) -> list[tuple[int, bytes]]:
        """Wait up to `seconds`; return what a pipe has brought, no bytes if it has ended."""
        try:
            pipe, identity, data = self._brought.get(timeout=seconds)
        except queue.Empty:
            return []
        return [(pipe, data)] if self._watched.get(pipe) is identity else []

    def _read_to_end(self, pipe: int, identity: object) -> None:
        data = b"more"
        while data:
            try:
                data = os.read(pipe, READ_BYTES)
            except OSError:  # Windows, where the other end was killed
                data = b""
            self._brought.put((pipe, identity, data))
        os.close(pipe)
