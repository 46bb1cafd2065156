"""A run's moving part.

    lister → queue of actions → workers (fetch) → queue of outcomes → committer → progress

Both queues are bounded, so URLs stay fresh and memory flat. Nothing looks back: a worker knows one
action, the committer one batch of outcomes.

The lister and the committer wait for the API and for the disk in a thread each; all between them
happens in the event loop. The lister hands over a page of actions at a time: waking the loop costs
as much as a small file.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property, partial

from mirror.errors import AccessError, ApiError, UsageError
from mirror.jobs import planning
from mirror.jobs.commit import Committer, Failed, Fetched, Outcome, needs_record
from mirror.jobs.fetch import Fetcher
from mirror.jobs.result import Tally
from mirror.models import Action, Asset, Entry, FailedFile, Kind
from mirror.net.kling import KlingApi
from mirror.net.listing import Listing
from mirror.progress import Progress
from mirror.settings import Settings
from mirror.storage.root import Root
from mirror.threads import in_thread, shielded

_BATCH = 128
_ACTIONS_AHEAD = 64
_REFUSED = 400


class Pipeline:
    """Lists all accounts of a run, and mirrors what they hold.

    Args:
        settings: filters and sizes.
        api: the service.
        root: open; changed by the committer alone.
        tally: filled in on the way.
        progress: told on the way.

    Attributes:
        being_replaced: keys of entries whose successors are listed, fetched or not.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        api: KlingApi,
        root: Root,
        tally: Tally,
        progress: Progress,
    ) -> None:
        self.being_replaced: set[str] = set()
        self._settings = settings
        self._api = api
        self._storage = root.storage
        self._manifest = root.manifest
        self._tally = tally
        self._progress = progress
        self._workers = settings.jobs
        self._loop = asyncio.get_running_loop()
        self._actions: asyncio.Queue[Action | None] = asyncio.Queue(_ACTIONS_AHEAD)
        self._outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue(2 * _BATCH)

    async def plan(self) -> None:
        """List and decide, and do nothing: a dry run."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._list())
            while (action := await self._actions.get()) is not None:
                self._tally.count(action.kind)

    async def run(self, fetcher: Fetcher, committer: Committer) -> None:
        """Mirror everything.

        Raises:
            BaseExceptionGroup: of a DiskError or OSError: the disk failed; or of the cancellation.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._list())
                for _ in range(self._settings.jobs):
                    group.create_task(self._work(fetcher))
                group.create_task(self._commit(fetcher, committer))
        finally:
            while not self._outcomes.empty():
                self._keep(fetcher, [self._outcomes.get_nowait()])

    # The lister, in a thread of its own.

    async def _list(self) -> None:
        for account in self._tally.accounts:
            try:
                self._report(await in_thread(self._list_account, account))
            except (AccessError, ApiError, UsageError) as error:
                self._tally.note(error, account)
        await self._enqueue([None] * self._workers)

    def _list_account(self, account: str | None) -> Listing:
        filters = {}
        if len(self._settings.content_type) == 1:
            filters["contentType"] = self._settings.content_type[0]
        if self._settings.file_name is not None:
            filters["fileName"] = self._settings.file_name
        listing = Listing(
            partial(self._api.page, account=account, filters=filters),
            account=account,
            page_size=self._settings.page_size,
            expected={
                entry.key
                for entry in planning.of_account(self._manifest.entries.values(), account)
                if entry.state == "current" and self._is_wanted(entry)
            },
        )
        before = [earlier.seen for earlier in self._tally.listings]
        self._tally.listings.append(listing)
        waiting: list[Asset] = []
        try:
            for assets in listing.pages():
                now = []
                for key, asset in assets.items():
                    if before and any(key in seen for seen in before):
                        continue
                    entry = self._manifest.entries.get(key)
                    if not self._is_wanted(asset):
                        self._tally.filtered += 1
                    elif self._may_replace(asset, entry):
                        waiting.append(asset)
                    else:
                        now.append((asset, entry, ()))
                self._offer(now)
        except ApiError as error:
            raise self._explained(error, account) from None
        pairs = list(planning.replaced(waiting, current=self._current, listed=listing.seen))
        self.being_replaced.update(entry.key for _, older in pairs for entry in older)
        entries = self._manifest.entries
        self._offer((asset, entries.get(asset.key), older) for asset, older in pairs)
        return listing

    def _is_wanted(self, asset: Asset | Entry) -> bool:
        """Whether the filters let it through, as far as we can tell without the API."""
        file_name = None if isinstance(asset, Asset) else self._settings.file_name
        types = self._settings.content_type
        if not types and file_name is None:
            return True
        return planning.is_wanted(asset, content_types=types, file_name=file_name)

    def _explained(self, error: ApiError, account: str | None) -> Exception:
        """A refusal without an account may mean that there are several."""
        if error.status != _REFUSED or account is not None:
            return error
        try:
            accounts = self._api.accounts()
        except (AccessError, ApiError):
            return error
        if len(accounts) <= 1:
            return error
        return UsageError(
            "the subscription has several Kling accounts",
            where=", ".join(accounts),
            hint="name one with --email E, or take them all with --all-accounts",
        )

    @cached_property
    def _current(self) -> dict[str, list[Entry]]:
        current = defaultdict(list)
        for entry in list(self._manifest.entries.values()):  # others are recorded meanwhile
            if entry.state == "current":
                current[entry.id].append(entry)
        return current

    def _may_replace(self, asset: Asset, entry: Entry | None) -> bool:
        """Whether it may be a newer version of an entry: known once the whole listing is."""
        if entry is not None and entry.state != "superseded":
            return False
        return asset.id in self._current

    def _offer(self, assets: Iterable[tuple[Asset, Entry | None, Sequence[Entry]]]) -> None:
        """Decide for each asset, beside its entry and those that it replaces; hand over."""
        unchanged, covers = 0, not self._settings.no_covers
        is_intact = self._storage.is_intact
        actions: list[Action] = []
        for asset, entry, older in assets:
            action = planning.decide(
                asset, entry=entry, older=older, is_intact=is_intact, covers=covers
            )
            if action.kind is Kind.UNCHANGED and not needs_record(action):
                unchanged += 1
                continue
            actions.append(action)
        self._tally.count(Kind.UNCHANGED, unchanged)
        if actions:
            asyncio.run_coroutine_threadsafe(self._enqueue(actions), self._loop).result()

    async def _enqueue(self, actions: Iterable[Action | None]) -> None:
        """Put actions into the queue, and wait for room there; None ends one worker."""
        for action in actions:
            if action is not None:
                self._progress.planned(action)
            await self._actions.put(action)

    def _report(self, listing: Listing) -> None:
        self._tally.complete.append(listing)
        for item in listing.unreadable.values():
            text = f"item {item.position} of page {item.page} cannot be read: {item.error}"
            self._fail(None, FailedFile(item.id, None, "resource", text))
        for asset in listing.conflicts.values():
            self._tally.has_news = True
            self._progress.warn(
                f"asset {asset.id} is listed twice with differing content; the first was kept"
            )

    def _fail(self, action: Action | None, failure: FailedFile) -> None:
        self._tally.failures.append(failure)
        self._progress.failed(action, failure)

    # The workers.

    async def _work(self, fetcher: Fetcher) -> None:
        while (action := await self._actions.get()) is not None:
            outcome = await fetcher.fetch(action)
            try:
                await self._outcomes.put(outcome)
            except asyncio.CancelledError:  # the disk was behind: what is complete stays so
                self._keep(fetcher, [outcome])
                raise
        self._workers -= 1
        if not self._workers:
            await self._outcomes.put(None)

    # The committer.

    async def _commit(self, fetcher: Fetcher, committer: Committer) -> None:
        ended = False
        while not ended:
            batch = [await self._outcomes.get()]
            while len(batch) < _BATCH and not self._outcomes.empty():
                batch.append(self._outcomes.get_nowait())
            ended = batch[-1] is None
            outcomes = [outcome for outcome in batch if outcome is not None]
            await shielded(self._commit_batch(outcomes, fetcher, committer))

    async def _commit_batch(
        self, outcomes: list[Outcome], fetcher: Fetcher, committer: Committer
    ) -> None:
        try:
            entries = await committer.commit(outcomes)
        except BaseException:
            self._keep(fetcher, outcomes)
            raise
        for outcome, entry in zip(outcomes, entries, strict=True):
            self._settle(outcome, entry)

    def _settle(self, outcome: Outcome, entry: Entry | None) -> None:
        action = outcome.action
        if isinstance(outcome, Failed):
            asset = action.asset
            failure = FailedFile(asset.id, asset.update_time_ms, outcome.role, outcome.error)
            self._fail(action, failure)
            return
        self._tally.count(action.kind)
        self._tally.has_news = True
        for file in outcome.files.values():
            self._tally.files.reused += file.reused
            self._tally.files.fetched += not file.reused
        if entry is not None:
            self._progress.done(action, entry)

    def _keep(self, fetcher: Fetcher, outcomes: list[Outcome] | list[Outcome | None]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Fetched):
                fetcher.keep(outcome)
