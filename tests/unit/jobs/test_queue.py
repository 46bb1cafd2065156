"""The queue of actions: what waits, what is deferred, and what is announced once."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec import Raw

from mirror.jobs.queue import ActionQueue
from mirror.models import Action, Asset, Kind, key_of


def actions(first: int, count: int) -> list[Action]:
    """Actions for so many assets."""
    return [
        Action(
            Asset(
                key=key_of(str(number), 1),
                id=str(number),
                update_time_ms=1,
                create_time_ms=None,
                name=None,
                content_type=None,
                urls={},
                account=None,
                raw=Raw(b"{}"),
            ),
            Kind.NEW,
            ("resource",),
            None,
        )
        for number in range(first, first + count)
    ]


async def put(queue: ActionQueue, some: Sequence[Action], *, wait: bool) -> None:
    """Put actions from another thread, as the lister does."""
    await asyncio.to_thread(queue.put, some, wait=wait)


def test_what_finds_no_room_is_deferred() -> None:
    """It is announced once, and put again by who waits."""

    async def scenario() -> None:
        announced: list[Action] = []
        queue = ActionQueue(announced.append)
        some = actions(0, 100)
        await put(queue, some, wait=False)
        assert announced == some
        assert queue.deferred == {action.asset.key for action in some[64:]}
        taken = [await queue.get() for _ in range(50)]
        assert taken == some[:50]
        await put(queue, some[64:], wait=True)
        assert queue.deferred == set()
        assert announced == some
        assert [await queue.get() for _ in range(50)] == some[50:]

    asyncio.run(scenario())


def test_who_waits_gets_room_in_time() -> None:
    """Everything comes out in its order, the end behind it, once for each worker."""

    async def scenario() -> None:
        queue = ActionQueue(lambda _: None)
        some = actions(0, 500)
        waiting = asyncio.create_task(put(queue, some, wait=True))
        assert [await queue.get() for _ in some] == some
        await waiting
        await queue.end(workers=2)
        assert [await queue.get(), await queue.get()] == [None, None]

    asyncio.run(scenario())


def test_a_queue_without_bounds_defers_nothing() -> None:
    """A dry run takes all that is planned."""

    async def scenario() -> None:
        queue = ActionQueue(lambda _: None, is_bounded=False)
        await put(queue, actions(0, 1000), wait=False)
        assert queue.deferred == set()

    asyncio.run(scenario())


def test_what_an_announcement_raises_ends_the_run() -> None:
    """Who listens to a run may stop it: the error reaches the lister."""

    def refuse(_: Action) -> None:
        raise ValueError("enough")

    async def scenario() -> None:
        with pytest.raises(ValueError, match="enough"):
            await put(ActionQueue(refuse), actions(0, 1), wait=True)

    asyncio.run(scenario())
