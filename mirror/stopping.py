"""A person's wish to stop, carried from a signal handler to whatever runs."""

import contextlib
import signal
from collections.abc import Callable, Iterator

from mirror.errors import Interrupted


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
