"""A person's wish to stop, carried from a signal handler to whatever runs."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

from mirror.errors import Interrupted

_LAST_WORDS_S = 0.5
"""How long a stop may still wait for what is told of the run to others: within its two seconds."""
_LOOK_S = 0.05


class Stop:
    """Set once by a signal handler (or another thread); looked at by everything that takes time."""

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
        """Within the block, call this when asked to stop; at once if that has happened already."""
        self._callbacks.append(callback)
        try:
            if self.signum is not None:
                callback()
            yield
        finally:
            self._callbacks.remove(callback)

    def check(self) -> None:
        """Go on, unless asked to stop.

        Raises:
            Interrupted: a stop was asked for.
        """
        if self.signum is not None:
            raise Interrupted(self.signum)

    def wait_for(self, thread: threading.Thread, *, limit_s: float) -> bool:
        """Wait for a daemon thread, but no longer than the limit, and a moment once asked to stop.

        A lock that a signal handler sets could be held by whom it interrupts: so we look, often.

        Returns:
            Whether the thread has ended.
        """
        deadline = time.monotonic() + limit_s
        last_words = False
        while thread.is_alive() and (left_s := deadline - time.monotonic()) > 0:
            if self.signum is not None and not last_words:
                last_words = True
                deadline = min(deadline, time.monotonic() + _LAST_WORDS_S)
            thread.join(min(_LOOK_S, left_s))
        return not thread.is_alive()
