"""The bounded queue of actions, from the lister's thread to the workers in the event loop."""

import asyncio
from collections.abc import Callable, Sequence

from mirror.models import Action

_AHEAD = 64
"""Actions that wait for a worker: their URLs stay fresh, and memory flat."""


class ActionQueue:
    """Takes a page of actions at a time: waking the event loop costs as much as a small file.

    Made inside the event loop.

    Args:
        on_planned: called in the event loop with each action, when it is put for the first time.
        is_bounded: whether there is room for a few actions only.

    Attributes:
        deferred: the keys of assets whose actions found no room, and that were not put again.
    """

    def __init__(self, on_planned: Callable[[Action], None], *, is_bounded: bool = True) -> None:
        self.deferred: set[str] = set()
        self._on_planned = on_planned
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Action | None] = asyncio.Queue(_AHEAD if is_bounded else 0)

    def put(self, actions: Sequence[Action], *, wait: bool) -> None:
        """Hand actions over, from another thread.

        Args:
            actions: of different assets.
            wait: for room; else what finds none is noted in `deferred`.
        """
        if actions:
            asyncio.run_coroutine_threadsafe(self._put(actions, wait), self._loop).result()

    async def _put(self, actions: Sequence[Action], wait: bool) -> None:  # noqa: FBT001 - as above
        for action in actions:
            key = action.asset.key
            if key in self.deferred:
                self.deferred.remove(key)
            else:
                self._on_planned(action)
            if wait or not self._queue.full():
                await self._queue.put(action)
            else:
                self.deferred.add(key)

    async def get(self) -> Action | None:
        """The next action, or None at the end."""
        return await self._queue.get()

    async def end(self, workers: int) -> None:
        """Let this many workers end, once all actions are taken."""
        for _ in range(workers):
            await self._queue.put(None)
