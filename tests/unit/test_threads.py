"""Work that blocks: its result, its error, and a waiting that can be given up."""

import asyncio
import threading

import pytest

from mirror.threads import in_thread, shielded


def test_the_result_comes_from_another_thread() -> None:
    """A daemon's, so that it cannot hold up the end of the program."""

    def work(word: str) -> tuple[str, bool, bool]:
        thread = threading.current_thread()
        return word, thread.daemon, thread is threading.main_thread()

    assert asyncio.run(in_thread(work, "done")) == ("done", True, False)


def test_an_error_is_raised_where_it_is_awaited() -> None:
    """Also one that is no `Exception`."""

    def work() -> None:
        raise KeyboardInterrupt

    async def run() -> None:
        with pytest.raises(KeyboardInterrupt):
            await in_thread(work)

    asyncio.run(run())


def test_a_thread_is_left_when_the_waiting_is_cancelled() -> None:
    """The loop ends though the work has not; what it says later is of no interest."""
    end = threading.Event()

    async def run() -> None:
        waiting = asyncio.ensure_future(in_thread(end.wait))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())
    end.set()


def test_shielded_work_is_finished_before_the_cancellation_goes_on() -> None:
    """However often it is cancelled."""
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done.append("all of it")

    async def run() -> None:
        task = asyncio.ensure_future(shielded(work()))
        for _ in range(2):
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == ["all of it"]

    asyncio.run(run())


def test_shielded_work_gives_its_result_and_its_error() -> None:
    """Without a cancellation it is as if it were awaited itself."""

    async def work(number: int) -> int:
        if number < 0:
            raise ValueError(number)
        return number

    assert asyncio.run(shielded(work(7))) == 7
    with pytest.raises(ValueError, match="-1"):
        asyncio.run(shielded(work(-1)))
