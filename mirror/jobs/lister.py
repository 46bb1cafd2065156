"""The lister: walks through one account after the other, and decides for each asset.

An asset is decided as soon as its page is here. Three kinds wait for the end of the listing: what
may be another version of a known asset; what came without its time and is not on record; and what
is on record beside another version and needs an action. The first walk does not wait for
downloads, so that the total is known early: actions that find no room in the queue are decided
again in the next walk, with fresh URLs.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence, Set
from functools import cached_property, partial

from mirror.errors import AccessError, ApiError, UsageError
from mirror.jobs import planning
from mirror.jobs.known import Known, Scope
from mirror.jobs.queue import ActionQueue
from mirror.jobs.result import Tally
from mirror.models import Action, Asset, Entry, Kind
from mirror.net import statuses
from mirror.net.kling import KlingApi
from mirror.net.listing import MAX_WALKS, Listing
from mirror.settings import Settings
from mirror.storage.root import Root


class Lister:
    """Lists accounts, and hands over what is to be done. Its methods block: they need a thread.

    Args:
        settings: filters and sizes.
        api: the service.
        root: open; others change it meanwhile.
        tally: filled in on the way.
        queue: takes the actions.

    Attributes:
        known: what the mirror knew at the start.
        scopes: by account, which entries its listing speaks of.
        unchanged_failures: keys of failures whose assets have all their files.
    """

    def __init__(
        self, settings: Settings, *, api: KlingApi, root: Root, tally: Tally, queue: ActionQueue
    ) -> None:
        self._settings = settings
        self._scope = settings.scope
        self._api = api
        self._storage = root.storage
        self._manifest = root.manifest
        self._tally = tally
        self._queue = queue
        self._handed_over: set[str] = set()
        self.known = Known(root.manifest.entries, is_wanted=self._is_wanted)
        self.scopes: dict[str | None, Scope] = {}
        self.unchanged_failures: list[str] = []

    def list_account(
        self, account: str | None, *, on_listed: Callable[[int], None] = lambda _: None
    ) -> Listing:
        """Walk through an account until its listing is proven, or until more walks make no sense.

        Args:
            account: the email, or None.
            on_listed: called after the first walk with the files of assets whose actions wait for
                the end of the listing; once more, with the same number below zero, before these.

        Raises:
            AccessError, ApiError, UsageError: a page could not be had. What was listed before is
                handed over all the same.
        """
        scope = self.known.scope(account, is_alone=len(self._tally.accounts) == 1)
        listing = Listing(
            partial(self._api.page, account=account, filters=self._filters),
            account=account,
            page_size=self._settings.page_size,
            identify=self.known.identify,
            expected=scope.expected,
        )
        work = _AccountListing(listing, scope, [other.seen for other in self._tally.listings])
        self._tally.listings.append(listing)
        self.scopes[account] = scope
        error = None
        try:
            self._walk(work, on_listed)
        except (AccessError, ApiError) as failed:
            error = failed
        self._queue.deferred.clear()
        on_listed(-work.waiting_files)
        self._settle(work)
        if error is not None:
            raise self._explained(error, account)
        return listing

    def _walk(self, work: "_AccountListing", on_listed: Callable[[int], None]) -> None:
        """Walk until the listing is proven and every deferred action is handed over."""
        listing = work.listing
        failed = None
        while listing.walks < MAX_WALKS and (self._queue.deferred or not listing.is_proven):
            is_first = listing.walks == 0
            try:
                for assets in listing.walk():
                    self._take(work, assets, wait=not is_first)
            except (AccessError, ApiError) as error:
                if failed is not None or not self._queue.deferred:
                    raise
                failed = error  # once more, for what was listed before it
            else:
                failed = None
            if is_first:
                on_listed(work.count_waiting())
        if failed is not None:
            raise failed

    def _take(self, work: "_AccountListing", assets: Sequence[Asset], *, wait: bool) -> None:
        """Decide for the assets of a page, or let them wait."""
        entries, seen, waiting = self._manifest.entries, work.listing.seen, work.waiting
        now: list[tuple[Asset, Entry | None]] = []
        for asset in assets:
            key = asset.key
            entry = entries.get(key)
            if key in seen:
                if key in self._queue.deferred:
                    now.append((asset, entry))
                elif key in waiting:
                    waiting[key] = asset  # its URLs are fresh
                continue
            if work.earlier and any(key in listed for listed in work.earlier):
                continue
            work.scope.note(asset, entry)
            if not self._lets_through(asset):
                self._tally.filtered += 1
            elif self._must_wait(asset, entry):
                waiting[key] = asset
            else:
                now.append((asset, entry))
        plain = [(asset, entry, ()) for asset, entry in now]
        self._hand_over(plain, wait=wait, waiting=waiting)

    def _must_wait(self, asset: Asset, entry: Entry | None) -> bool:
        """Whether only the whole listing shows what the asset is."""
        if asset.is_bare or (entry is not None and entry.state != "superseded"):
            return False
        return not asset.is_dated or bool(self.known.other_versions(asset))

    def _hand_over(
        self,
        assets: Iterable[tuple[Asset, Entry | None, Sequence[Entry]]],
        *,
        wait: bool,
        waiting: dict[str, Asset] | None = None,
    ) -> None:
        """Decide for each asset, given its entry and those that it replaces; queue the actions.

        If `waiting` is given, an asset goes there that needs an action and has both an entry and
        another version: only the whole listing shows whether it replaces that version.
        """
        excluded, covers = 0, not self._settings.no_covers
        is_intact, failures = self._storage.is_intact, self._manifest.failures
        unchanged: list[str] = []
        actions: list[Action] = []
        for asset, entry, older in assets:
            files = None if older else planning.settled_files(asset, entry, covers=covers)
            if files is not None and all(map(is_intact, files)):  # nearly always
                unchanged.append(asset.key)
                continue
            action = planning.decide(
                asset, entry=entry, older=older, is_intact=is_intact, covers=covers
            )
            if action.kind is Kind.UNCHANGED and asset.key in failures:
                self.unchanged_failures.append(asset.key)
            if waiting is not None and entry is not None and self._may_replace(asset):
                waiting[asset.key] = asset
                continue
            if action.fetch and asset.id in self._scope.exclude:
                excluded += 1
                continue
            actions.append(action)
        self._tally.count(Kind.UNCHANGED, len(unchanged))
        if failures:
            self.unchanged_failures += filter(failures.__contains__, unchanged)
        self._tally.filtered += excluded
        self._handed_over.update(action.asset.key for action in actions)
        self._queue.put(actions, wait=wait)

    def _may_replace(self, asset: Asset) -> bool:
        return asset.key not in self._handed_over and bool(self.known.other_versions(asset))

    def _settle(self, work: "_AccountListing") -> None:
        """Decide for the assets that waited for the end of the listing."""
        listing = work.listing
        listed: Container[str] = listing.proof.keys if listing.proof else ()
        for asset in work.waiting.values():
            if not asset.is_dated and self.known.has_met_dated(asset):
                listing.seen.discard(asset.key)  # it is the one that came with its time
        waiting = [asset for asset in work.waiting.values() if asset.key in listing.seen]
        if listing.proof:
            versions = [asset for asset in waiting if asset.key in listed]
            missing = self._missing(work)
        else:
            versions, missing = planning.unambiguous(waiting), []
        entries = self._manifest.entries
        pairs = [*planning.replaced(versions, missing)]
        self._hand_over(
            [(asset, entries.get(asset.key), older) for asset, older in pairs], wait=True
        )
        replaced = {entry.key for _, older in pairs for entry in older}
        self._supersede([entry for entry in missing if entry.key not in replaced], listed)

    def _missing(self, work: "_AccountListing") -> list[Entry]:
        """The entries that a proven listing lacks, whatever has become of them."""
        listing = work.listing
        listed = listing.proof.keys if listing.proof else ()
        keys = work.scope.expected(listing.seen).difference(
            listed, self._handed_over, *work.earlier
        )
        entries = [self._manifest.entries[key] for key in sorted(keys)]
        return [entry for entry in entries if not listing.may_hide(entry.id)]

    def _supersede(self, missing: Iterable[Entry], listed: Container[str]) -> None:
        """Supersede entries whose newer version an earlier run mirrored beside them."""
        older: dict[str, list[Entry]] = defaultdict(list)
        for entry in missing:
            for key in self.known.other_versions(entry):
                if key in listed and key in self._manifest.entries and key not in self._handed_over:
                    older[key].append(entry)
                    break
        actions = []
        for key, replaced in older.items():
            entry = self._manifest.entries[key]
            asset = Asset.of(entry, account=None)
            actions.append(Action(asset, Kind.UNCHANGED, (), entry, tuple(replaced)))
        self._tally.count(Kind.UNCHANGED, -len(actions))  # they are counted once they are recorded
        self._queue.put(actions, wait=True)

    @cached_property
    def _filters(self) -> dict[str, str]:
        filters = {}
        if len(self._settings.content_type) == 1:
            filters["contentType"] = self._settings.content_type[0]
        if self._settings.file_name is not None:
            filters["fileName"] = self._settings.file_name
        return filters

    def _lets_through(self, asset: Asset) -> bool:
        """Whether an asset passes the filters; the API may not have applied them all."""
        types = self._scope.content_type
        has_type = not types or asset.content_type is None or asset.content_type in types
        return has_type and planning.is_in_time(asset, self._scope)

    def _is_wanted(self, entry: Entry) -> bool:
        return planning.is_wanted(entry, self._scope)

    def _explained(self, error: AccessError | ApiError, account: str | None) -> Exception:
        """A refusal without an account may mean that there are several."""
        if error.status != statuses.BAD_REQUEST or account is not None:
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
            hint="name one with --email E, or mirror all of them with --all-accounts",
        )


class _AccountListing:
    """One account's listing under way.

    Attributes:
        earlier: the keys of each listing before, in this run.
        waiting: by key, what is decided at the end of the listing.
        waiting_files: how many files these had after the first walk.
    """

    def __init__(self, listing: Listing, scope: Scope, earlier: Sequence[Set[str]]) -> None:
        self.listing = listing
        self.scope = scope
        self.earlier = earlier
        self.waiting: dict[str, Asset] = {}
        self.waiting_files = 0

    def count_waiting(self) -> int:
        """The files of assets that wait."""
        self.waiting_files = sum(len(asset.urls) for asset in self.waiting.values())
        return self.waiting_files
