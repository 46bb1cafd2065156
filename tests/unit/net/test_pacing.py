"""`--limit-rate`: what all transfers take together, over time that passes at once."""

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mirror.net.pacing import Pacer

RATE = 100_000
CHUNK = 10_000


class _Skipping(selectors.SelectSelector):
    """Passes the time that a loop would wait for, and does not wait."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    """An event loop with such a selector's time."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run in a loop whose waits take no time."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(work())


class _Sources:
    """Servers that would send without end, each a transfer of that number."""

    def __init__(self, count: int) -> None:
        self.taken: Counter[int] = Counter()
        self.pacer = Pacer[int](RATE, go_on=self.send)
        for number in range(count):
            self.send(number)

    def send(self, number: int) -> None:
        """Send until the pacer has it wait."""
        while self.pacer.admit(number, CHUNK):
            self.taken[number] += CHUNK


@pytest.mark.parametrize("transfers", [1, 2, 7])
def test_all_together_keep_to_the_rate(transfers: int) -> None:
    """In ten seconds, ten seconds' bytes; a chunk more or less."""

    async def work() -> None:
        sources = _Sources(transfers)
        await asyncio.sleep(10)
        assert abs(sources.taken.total() - 10 * RATE) <= 2 * CHUNK
        sources.pacer.close()

    run(work)


def test_each_has_its_turn() -> None:
    """None is ahead of another by more than a chunk."""

    async def work() -> None:
        sources = _Sources(5)
        await asyncio.sleep(10)
        counts = [sources.taken[number] for number in range(5)]
        assert max(counts) - min(counts) <= CHUNK
        sources.pacer.close()

    run(work)


def test_unused_time_is_not_saved_up() -> None:
    """After a minute of nothing to do, no minute's bytes come at once."""

    async def work() -> None:
        pacer = Pacer[int](RATE, go_on=lambda _: None)
        await asyncio.sleep(60)
        admitted = 0
        while pacer.admit(1, CHUNK):
            admitted += CHUNK
        assert admitted <= RATE / 4
        pacer.close()

    run(work)


def test_who_has_ended_is_not_called() -> None:
    """A transfer that was cut while it waited neither goes on nor holds up the others."""

    async def work() -> None:
        called: list[int] = []
        pacer = Pacer[int](RATE, go_on=called.append)
        assert pacer.admit(1, RATE)
        assert not pacer.admit(1, CHUNK)
        assert not pacer.admit(2, CHUNK)
        assert pacer.is_waiting(1)
        pacer.forget(1)
        assert not pacer.is_waiting(1)
        await asyncio.sleep(5)
        assert called == [2]
        pacer.close()

    run(work)


def test_after_the_end_nobody_is_called() -> None:
    """What still waits when the run ends stays where it is."""

    async def work() -> None:
        called: list[int] = []
        pacer = Pacer[int](RATE, go_on=called.append)
        assert pacer.admit(1, RATE)
        assert not pacer.admit(1, CHUNK)
        pacer.close()
        await asyncio.sleep(5)
        assert called == []

    run(work)
