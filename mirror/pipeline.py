"""A run's moving part.

    lister → queue of actions → workers (fetch) → queue of outcomes → committer → progress

Both queues are bounded, so URLs stay fresh and memory flat. Nothing looks back: a worker knows one
action, the committer one batch of outcomes.
"""

import asyncio
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from mirror import planning
from mirror.api import KlingApi
from mirror.commit import Committer, Failed, Fetched, Outcome, needs_record
from mirror.errors import AccessError, ApiError, UsageError
from mirror.fetching import Fetcher
from mirror.listing import Listing
from mirror.manifest import Manifest
from mirror.models import Action, Asset, Entry, FailedFile, Kind, Progress
from mirror.settings import Settings
from mirror.store import Store
from mirror.tally import Tally

_BATCH = 64
_REFUSED = 400


class Pipeline:
    """Lists all accounts of a run, and mirrors what they hold.

    Args:
        settings: filters and sizes.
        api: the service.
        store: the root.
        manifest: loaded; changed by the committer alone.
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
        store: Store,
        manifest: Manifest,
        tally: Tally,
        progress: Progress,
    ) -> None:
        self.being_replaced: set[str] = set()
        self._settings = settings
        self._api = api
        self._store = store
        self._manifest = manifest
        self._tally = tally
        self._progress = progress
        self._workers = settings.jobs
        self._actions: asyncio.Queue[Action | None] = asyncio.Queue(2 * settings.jobs)
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

    # The lister.

    async def _list(self) -> None:
        for account in self._tally.accounts:
            try:
                await self._list_account(account)
            except (AccessError, ApiError, UsageError) as error:
                self._tally.note(error, account)
        await self._actions.put(None)

    async def _list_account(self, account: str | None) -> None:
        filters = {}
        if len(self._settings.content_type) == 1:
            filters["contentType"] = self._settings.content_type[0]
        if self._settings.file_name is not None:
            filters["fileName"] = self._settings.file_name
        listing = Listing(
            self._api,
            account=account,
            filters=filters,
            page_size=self._settings.page_size,
            expected={
                entry.key
                for entry in planning.of_account(self._manifest.entries.values(), account)
                if entry.state == "current" and self._is_wanted(entry)
            },
        )
        self._tally.listings.append(listing)
        waiting: list[Asset] = []
        try:
            async for asset in listing.assets():
                if any(asset.key in earlier.seen for earlier in self._tally.listings[:-1]):
                    continue
                if not self._is_wanted(asset):
                    self._tally.filtered += 1
                elif self._may_replace(asset):
                    waiting.append(asset)
                else:
                    await self._offer(asset, None)
        except ApiError as error:
            raise await self._explained(error, account) from None
        for asset in waiting:
            await self._offer(asset, self._take_replaced(asset, listing))
        self._report(listing)
        self._tally.complete.append(listing)

    def _is_wanted(self, asset: Asset | Entry) -> bool:
        """Whether the filters let it through, as far as we can tell without the API."""
        file_name = None if isinstance(asset, Asset) else self._settings.file_name
        types = self._settings.content_type
        return planning.is_wanted(asset, content_types=types, file_name=file_name)

    async def _explained(self, error: ApiError, account: str | None) -> Exception:
        """A refusal without an account may mean that there are several."""
        if error.status != _REFUSED or account is not None:
            return error
        try:
            accounts = await self._api.accounts()
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
    def _current(self) -> dict[tuple[str, str | None], list[Entry]]:
        current = defaultdict(list)
        for entry in self._manifest.entries.values():
            if entry.state == "current":
                current[entry.id, entry.content_type].append(entry)
        return current

    def _may_replace(self, asset: Asset) -> bool:
        """Whether it may be a newer version of an entry: known once the whole listing is."""
        entry = self._manifest.entries.get(asset.key)
        if entry is not None and entry.state != "superseded":
            return False
        return (asset.id, asset.content_type) in self._current

    def _take_replaced(self, asset: Asset, listing: Listing) -> Entry | None:
        candidates = self._current[asset.id, asset.content_type]
        for entry in candidates:
            if entry.key not in listing.seen and entry.key not in self.being_replaced:
                self.being_replaced.add(entry.key)
                return entry
        return None

    async def _offer(self, asset: Asset, other: Entry | None) -> None:
        action = planning.decide(
            asset,
            entry=self._manifest.entries.get(asset.key),
            other=other,
            is_intact=self._store.is_intact,
            covers=not self._settings.no_covers,
        )
        if action.kind is Kind.UNCHANGED and not needs_record(action):
            self._tally.count(Kind.UNCHANGED)
            return
        self._progress.planned(action)
        await self._actions.put(action)

    def _report(self, listing: Listing) -> None:
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
            await self._outcomes.put(await fetcher.fetch(action))
        await self._actions.put(None)  # for the next worker
        self._workers -= 1
        if not self._workers:
            await self._outcomes.put(None)

    # The committer.

    async def _commit(self, fetcher: Fetcher, committer: Committer) -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="commit") as pool:
            ended = False
            while not ended:
                batch = [await self._outcomes.get()]
                while len(batch) < _BATCH and not self._outcomes.empty():
                    batch.append(self._outcomes.get_nowait())
                ended = batch[-1] is None
                outcomes = [outcome for outcome in batch if outcome is not None]
                future = pool.submit(committer.commit, outcomes)
                try:
                    entries = await asyncio.wrap_future(future)
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
