"""What each command that connects to Kling needs: the event loop, the API, the transfers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine

from mirror.errors import MirrorError
from mirror.jobs.fetch import Fetcher
from mirror.net.kling import KlingApi
from mirror.net.transfers import Transfers
from mirror.net.urls import UrlRules, leads_home
from mirror.progress import Progress
from mirror.settings import Settings
from mirror.stopping import Stop
from mirror.storage.root import Root
from mirror.threads import in_thread

_WATCH_S = 0.5


def run_stoppable(work: Coroutine[object, object, None], stop: Stop) -> None:
    """Run to the end, or until a stop is asked for.

    Raises:
        Interrupted: a stop was asked for.
        MirrorError, OSError: the first error of the work, out of its groups.
    """
    try:
        # Windows' own loop has no `add_reader`, which libcurl's sockets need.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_cancelled_by(work, stop))
    except asyncio.CancelledError:
        stop.check()
        raise
    except BaseExceptionGroup as group:
        raise _first(group) from None


@contextlib.asynccontextmanager
async def opened_api(settings: Settings, token: str) -> AsyncIterator[KlingApi]:
    """The API, as the settings have it; an answer that takes too long is cut off."""
    with KlingApi(
        settings.api_url,
        token,
        max_attempts=settings.max_attempts,
        max_wait_s=settings.max_wait,
        stall_timeout_s=settings.stall_timeout,
        max_answer_bytes=settings.max_answer_size,
    ) as api:
        watch = asyncio.create_task(_cut_overdue(api))
        try:
            yield api
        finally:
            watch.cancel()
            api.abort()


@contextlib.asynccontextmanager
async def opened(
    settings: Settings,
    token: str,
    root: Root,
    progress: Progress,
    *,
    on_bytes: Callable[[int], None] | None = None,
) -> AsyncIterator[tuple[KlingApi, Fetcher]]:
    """The API, and what fetches files, as the settings have it.

    Args:
        settings: the effective ones.
        token: the API token.
        root: where files go.
        progress: notified of the received bytes.
        on_bytes: called with the number of bytes, in place of `progress.received`.
    """
    transfers = Transfers(
        jobs=settings.jobs,
        stall_timeout_s=settings.stall_timeout,
        limit_rate=settings.limit_rate,
        max_size=settings.max_file_size,
        rules=UrlRules(
            allow_private=settings.allow_private_hosts
            or await in_thread(leads_home, settings.api_url),
            allowed_hosts=settings.allowed_hosts,
        ),
        room=root.spool.check_room,
        on_bytes=on_bytes or progress.received,
    )
    with transfers:
        async with opened_api(settings, token) as api:
            fetcher = Fetcher(
                root,
                transfers,
                api,
                max_attempts=settings.max_attempts,
                max_wait_s=settings.max_wait,
            )
            yield api, fetcher


async def _cut_overdue(api: KlingApi) -> None:
    while True:
        await asyncio.sleep(_WATCH_S)
        api.cut_overdue()


async def _cancelled_by(work: Coroutine[object, object, None], stop: Stop) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)

    def cancel() -> None:
        with contextlib.suppress(RuntimeError):  # the loop ended: there is nothing to stop
            loop.call_soon_threadsafe(task.cancel)

    with stop.calling(cancel):
        await task


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to report: the first of our own errors, else the first of all."""
    leaves = [
        _first(error) if isinstance(error, BaseExceptionGroup) else error
        for error in group.exceptions
    ]
    return next((leaf for leaf in leaves if isinstance(leaf, MirrorError)), leaves[0])
