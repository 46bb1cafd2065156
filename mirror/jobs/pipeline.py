"""From the listing to the record: lister, workers and committer, and the queues between them.

    lister → queue of actions → workers (fetch) → queue of outcomes → committer → progress

Both queues are bounded, so URLs stay fresh and memory flat. Nothing looks back: a worker knows one
action, the committer one batch of outcomes.

The lister and the committer wait for the API and for the disk in a thread each; all between them
happens in the event loop.
"""

import asyncio
import time
from functools import partial

from msgspec.structs import replace

from mirror.errors import AccessError, ApiError, UsageError
from mirror.jobs.commit import Committed, Committer, Fetched, Outcome
from mirror.jobs.fetch import Fetcher
from mirror.jobs.lister import Lister
from mirror.jobs.queue import ActionQueue
from mirror.jobs.result import Tally
from mirror.models import Action, FailedFile
from mirror.net.kling import KlingApi
from mirror.net.listing import Listing
from mirror.progress import Progress
from mirror.settings import Settings
from mirror.stopping import next_size
from mirror.storage.root import Root
from mirror.threads import in_thread, shielded

_BATCH = 512


class Pipeline:
    """Lists all accounts of a run, and mirrors what they hold.

    Args:
        settings: filters and sizes.
        api: the service.
        root: open; changed by the committer alone.
        tally: filled in on the way.
        progress: notified of each asset.

        is_dry: whether the run only lists and decides.

    Attributes:
        lister: what lists the accounts.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        api: KlingApi,
        root: Root,
        tally: Tally,
        progress: Progress,
        is_dry: bool = False,
    ) -> None:
        self._tally = tally
        self._progress = progress
        self._exclude = settings.exclude
        self._known_failures: dict[object, str] = {
            (failure.id, failure.update_time_ms, failure.role): failure.error
            for failure in root.manifest.failures.values()
        }
        self._workers = settings.jobs
        self._actions = ActionQueue(progress.planned, is_bounded=not is_dry)
        self.lister = Lister(settings, api=api, root=root, tally=tally, queue=self._actions)
        self._outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue(_BATCH)

    async def plan(self) -> None:
        """List and decide, and do nothing: a dry run."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._list(workers=1))
            while (action := await self._actions.get()) is not None:
                self._tally.count(action.kind)

    async def run(self, fetcher: Fetcher, committer: Committer) -> None:
        """Mirror everything.

        Raises:
            BaseExceptionGroup: of a DiskError or OSError: the disk failed; or of the cancellation.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._list(self._workers))
            for _ in range(self._workers):
                group.create_task(self._work(fetcher, committer))
            group.create_task(self._commit(committer))

    # The lister, in a thread of its own.

    async def _list(self, workers: int) -> None:
        self._progress.listing()
        loop = asyncio.get_running_loop()
        *_, last = self._tally.accounts
        for account in self._tally.accounts:

            def on_listed(files: int, *, is_last: bool = account == last) -> None:
                loop.call_soon_threadsafe(self._expect, files, is_last)

            list_account = partial(self.lister.list_account, on_listed=on_listed)
            try:
                self._report(await in_thread(list_account, account))
            except (AccessError, ApiError, UsageError) as error:
                self._tally.note(error, account)
        self._progress.listed()  # also if the last account refused
        await self._actions.end(workers)

    def _expect(self, files: int, is_all: bool) -> None:  # noqa: FBT001 - of a callback
        self._progress.expect(files)
        if is_all:
            self._progress.listed()

    def _report(self, listing: Listing) -> None:
        self._tally.complete.append(listing)
        for item in listing.unreadable.values():
            if item.id in self._exclude:
                continue
            text = f"item {item.position} of page {item.page} cannot be read: {item.error}"
            self._fail(None, FailedFile(item.id, None, "resource", text))
        for asset in listing.conflicts.values():
            self._tally.has_news = True
            self._progress.warn(
                f"asset {asset.id} is listed twice with differing content; the first was kept"
            )

    def _fail(self, action: Action | None, failure: FailedFile) -> None:
        self._tally.failures.append(failure)
        which = failure.id, failure.update_time_ms, failure.role
        self._tally.has_new_failures |= self._known_failures.get(which) != failure.error
        self._progress.failed(action, failure)

    # The workers.

    async def _work(self, fetcher: Fetcher, committer: Committer) -> None:
        while (action := await self._actions.get()) is not None:
            outcome = await fetcher.fetch(action, committer.promise, self._outcomes.put)
            await self._outcomes.put(outcome)
        self._workers -= 1
        if not self._workers:
            await self._outcomes.put(None)

    # The committer.

    async def _commit(self, committer: Committer) -> None:
        ended, most = False, 1
        while not ended:
            batch = [await self._outcomes.get()]
            while len(batch) < most and not self._outcomes.empty():
                batch.append(self._outcomes.get_nowait())
            ended = batch[-1] is None
            outcomes = [outcome for outcome in batch if outcome is not None]
            began = time.monotonic()
            await shielded(self._commit_batch(outcomes, committer))
            most = next_size(len(batch), time.monotonic() - began, most=_BATCH)

    async def _commit_batch(self, outcomes: list[Outcome], committer: Committer) -> None:
        committed = await committer.commit(outcomes)
        for outcome, end in zip(outcomes, committed, strict=True):
            self._settle(outcome, end)

    def _settle(self, outcome: Outcome, end: Committed) -> None:
        """Count and report an asset; one that lacks its cover counts as failed."""
        action, got = outcome.action, end.files
        self._tally.has_news |= end.entry is not None
        if isinstance(outcome, Fetched) and not outcome.is_whole:
            return
        if end.entry is not None:
            for file in got.values():
                self._tally.files.reused += file.reused
                self._tally.files.fetched += not file.reused
            done = action if end.failed is None else replace(action, fetch=tuple(got))
            self._progress.done(done, end.entry)
        if end.failed is None:
            self._tally.count(action.kind)
            return
        asset, failed = action.asset, end.failed
        left = tuple(role for role in action.fetch if role not in got)
        failure = FailedFile(asset.id, asset.update_time_ms, failed.role, failed.error)
        self._fail(replace(action, fetch=left), failure)
