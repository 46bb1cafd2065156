"""A request to stop, from a signal handler or a thread to the running work."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from mirror.errors import Interrupted

_GRACE_S = 0.5
"""How long a stop waits for pings and hooks; it must end within two seconds."""
_LOOK_S = 0.05
_BATCH_S = 0.5

T = TypeVar("T")


def batches(items: Sequence[T], *, most: int) -> Iterator[Sequence[T]]:
    """Cut items into batches, which are finished before a stop: on a slow disk they are small.

    Args:
        items: what is to be done.
        most: the size of a batch on a fast disk.
    """
    start, size = 0, 1
    while start < len(items):
        batch = items[start : start + size]
        began = time.monotonic()
        yield batch
        start += len(batch)
        size = next_size(len(batch), time.monotonic() - began, most=most)


def next_size(size: int, took_s: float, *, most: int) -> int:
    """The size of the next batch, after one of this size that took so long."""
    return max(1, min(most, int(size * _BATCH_S / max(took_s, _BATCH_S / most))))


class Stop:
    """Set once, by a signal handler or a thread; everything that takes time checks it."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._callbacks: list[Callable[[], object]] = []

    def set(self, signum: int = signal.SIGINT) -> None:
        """Ask to stop. Safe in a signal handler and from any thread."""
        self.signum = signum
        for callback in tuple(self._callbacks):
            callback()

    @contextlib.contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call this on a stop within the block; at once if the stop was asked for already."""
        self._callbacks.append(callback)
        try:
            if self.signum is not None:
                callback()
            yield
        finally:
            self._callbacks.remove(callback)

    def check(self) -> None:
        """Raise if a stop was asked for.

        Raises:
            Interrupted: a stop was asked for.
        """
        if self.signum is not None:
            raise Interrupted(self.signum)

    def wait_for(self, thread: threading.Thread, *, limit_s: float) -> bool:
        """Wait for a daemon thread, up to a limit; after a stop only for a moment.

        It polls: a signal handler must not take a lock, which the code that it interrupts may hold.

        Returns:
            Whether the thread has ended.
        """
        deadline = time.monotonic() + limit_s
        is_last = False
        while thread.is_alive() and (left_s := deadline - time.monotonic()) > 0:
            if self.signum is not None and not is_last:
                is_last = True
                deadline = min(deadline, time.monotonic() + _GRACE_S)
            thread.join(min(_LOOK_S, left_s))
        return not thread.is_alive()
