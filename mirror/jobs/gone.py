"""Which assets that the listings lack are gone.

A listing shows that assets are gone only if it is proven, has no filters and no unreadable item,
and lacks neither much at once nor everything. The missing assets are then looked up by name: if one
is still found, the listing cannot be trusted.
"""

import random
from collections.abc import Iterator, Sequence

from msgspec import structs

from mirror.clock import now_iso
from mirror.errors import ListingError
from mirror.jobs import planning
from mirror.jobs.known import Scope
from mirror.jobs.lister import Lister
from mirror.jobs.result import Tally
from mirror.models import Asset, Entry, Failure
from mirror.net.kling import KlingApi
from mirror.net.listing import MAX_WALKS, Listing
from mirror.settings import Settings
from mirror.storage.journal import Change, DropFailure, PutEntry, PutFailure
from mirror.storage.manifest import Manifest

_MOST_LOOKED_UP = 100
"""If there are more assets than this, this many are chosen at random."""


class Gone:
    """Finds what is to be recorded of assets that are not listed.

    Args:
        settings: filters and limits.
        api: the service.
        manifest: loaded.
        tally: of the run, all of whose accounts are listed.
        lister: that listed them.
    """

    def __init__(
        self, settings: Settings, *, api: KlingApi, manifest: Manifest, tally: Tally, lister: Lister
    ) -> None:
        self._settings = settings
        self._api = api
        self._manifest = manifest
        self._tally = tally
        self._lister = lister
        self._seen = set[str]().union(*(listing.seen for listing in tally.listings))

    def changes(self) -> list[Change]:
        """The changes to record. It blocks, and notes in the tally why nothing is marked gone."""
        changes: list[Change] = [DropFailure(key) for key in self._lister.unchanged_failures]
        changes += self._acknowledged()
        for account, scope in self._lister.scopes.items():
            changes += self._moved(account, scope)
        for listing in self._tally.complete:
            scope = self._lister.scopes[listing.account]
            with self._tally.noting_errors(listing.account):
                self._require_proof(listing)
                changes += self._settled_failures(listing, scope)
                changes += self._gone(self._missing(listing, scope), listing, scope)
        return changes

    def _acknowledged(self) -> Iterator[Change]:
        """Failures of assets that the settings exclude."""
        for key, failure in self._manifest.failures.items():
            if failure.id in self._settings.exclude:
                yield DropFailure(key)

    def _moved(self, account: str | None, scope: Scope) -> Iterator[Change]:
        """What was recorded under another address of an account, under its present one.

        All of it moves at once: later, no listing shows any more that both are one account.
        """
        if account is None or not (others := scope.same_account - {account}):
            return
        for entry in self._manifest.entries.values():
            if entry.account in others and scope.may_own(entry):
                yield PutEntry(structs.replace(entry, account=account))
        for failure in self._manifest.failures.values():
            if failure.account in others:
                yield PutFailure(structs.replace(failure, account=account))

    def _require_proof(self, listing: Listing) -> None:
        if not listing.is_proven:
            raise listing.refusal or ListingError(
                f"the listing could not be proven in {MAX_WALKS} walks; nothing was marked gone",
                where=self._where(listing),
                hint="what was found is mirrored; run `sync` again when nobody is uploading",
            )

    def _settled_failures(self, listing: Listing, scope: Scope) -> Iterator[Change]:
        """Failures of assets that are no longer listed."""
        for key, failure in self._manifest.failures.items():
            if (
                key not in self._seen
                and failure.account in scope.addresses
                and self._is_wanted(failure)
                and not listing.may_hide(failure.id)
            ):
                yield DropFailure(key)

    def _missing(self, listing: Listing, scope: Scope) -> list[Entry]:
        """The account's entries that no listing of this run has, under its present address."""
        missing = sorted(scope.expected(listing.seen) - self._seen)
        return [
            structs.replace(entry, account=listing.account or entry.account)
            for entry in map(self._manifest.entries.__getitem__, missing)
            if entry.state == "current"
        ]

    def _gone(self, missing: Sequence[Entry], listing: Listing, scope: Scope) -> list[Change]:
        """The entries that are gone.

        Raises:
            ListingError: it cannot be believed.
            AccessError, ApiError: it could not be looked into.
        """
        vanished = [entry for entry in missing if not self._has_listed_version(entry)]
        if not vanished or self._settings.scope.is_filtered or listing.has_unreadable:
            return []
        self._check_amount(len(vanished), len(scope.expected(listing.seen)), listing)
        self._look_up(vanished, listing)
        self._tally.gone += len(vanished)
        now = now_iso()
        return [
            PutEntry(structs.replace(entry, state="gone", gone_since=now)) for entry in vanished
        ]

    def _has_listed_version(self, entry: Entry) -> bool:
        return any(key in self._seen for key in self._lister.known.other_versions(entry))

    def _check_amount(self, vanished: int, count: int, listing: Listing) -> None:
        if not planning.is_too_much(vanished, of=count, max_gone=self._settings.max_gone):
            return
        hint = "check the account; what is mirrored stays as it is"
        if vanished < count:
            hint = (
                f"if you deleted them at Kling, run `sync` once with --max-gone {vanished}; "
                "if not, check the account"
            )
        raise ListingError(
            f"{vanished:,} of {count:,} assets vanished from the listing at once; nothing was "
            "marked gone",
            where=self._where(listing),
            hint=hint,
        )

    def _look_up(self, vanished: Sequence[Entry], listing: Listing) -> None:
        if len(vanished) > _MOST_LOOKED_UP:
            vanished = random.sample(vanished, _MOST_LOOKED_UP)
        for entry in vanished:
            asset = Asset.of(entry, account=listing.account)
            if asset.name and self._api.look_up(asset) is not None:
                raise ListingError(
                    f"the listing lacks asset {entry.id}, which Kling still finds by its name; "
                    "nothing was marked gone",
                    where=self._where(listing),
                    hint="run `sync` again later",
                )

    def _is_wanted(self, failure: Failure) -> bool:
        return planning.is_wanted(failure, self._settings.scope)

    def _where(self, listing: Listing) -> str:
        return listing.account or self._settings.api_url
