"""`--limit-rate`: how fast all transfers together may take bytes."""

import asyncio
import collections
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_AHEAD_S = 0.1
"""This many seconds of unused time may be made up for."""


class Pacer(Generic[T]):
    """Shares a rate among transfers. Transfers that are ahead of it wait, and continue in turn.

    Args:
        rate: bytes per second.
        go_on: called with a transfer that waited, once it may take bytes again.
    """

    def __init__(self, rate: float, *, go_on: Callable[[T], None]) -> None:
        self._rate = rate
        self._go_on = go_on
        self._loop = asyncio.get_running_loop()
        self._waiting: collections.deque[T] = collections.deque()
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, transfer: T, count: int) -> bool:
        """Whether these bytes may be taken now; if not, the transfer waits."""
        now = self._loop.time()
        if self._free_at > now:
            self._waiting.append(transfer)
            self._set_timer()
            return False
        self._free_at = max(self._free_at, now - _AHEAD_S) + count / self._rate
        return True

    def is_waiting(self, transfer: T) -> bool:
        """Whether the transfer waits because of the limit."""
        return transfer in self._waiting

    def forget(self, transfer: T) -> None:
        """Drop a transfer that has ended."""
        if transfer in self._waiting:
            self._waiting.remove(transfer)

    def close(self) -> None:
        """Stop the timer: waiting transfers stay as they are."""
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_at(self._free_at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        while self._waiting and self._free_at <= self._loop.time():
            self._go_on(self._waiting.popleft())  # it may take bytes at once, and wait again
        if self._waiting:
            self._set_timer()
