"""What the mirror knew when a run started: which entry an item is, and whose the entries are.

An item is known by its id and time. Where the API leaves out when it was updated, the item is the
version that we have; where two items share id and time and differ in contentType, the second has a
key that names its type, in this run and in all later ones.

An account is who owns it (`userId`), not the address by which it is asked for. A listing speaks of
the entries that were recorded under its address, or under one whose assets it lists, unless another
user owns them.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Set
from functools import cached_property
from itertools import islice

from msgspec import Struct, structs

from mirror.models import Asset, Entry, State, TwinEntry, same_type, twin_key_of
from mirror.net.decode import owner_of


class _Listed(Struct, frozen=True, gc=False):
    """A version of an asset that was listed since the run started."""

    key: str
    update_time_ms: int
    create_time_ms: int | None
    content_type: str | None
    state: State = "current"


_Version = Entry | _Listed


class Known:
    """The entries at the start of a run, and the assets that it met since.

    Args:
        entries: the manifest's, by key; there may be more of them while the run goes on.
        is_wanted: whether the filters of the run let an entry through.
    """

    def __init__(self, entries: Mapping[str, Entry], *, is_wanted: Callable[[Entry], bool]) -> None:
        self._entries = entries
        self._count = len(entries)
        self._current: dict[str | None, set[str]] = defaultdict(set)
        self._addresses: set[str | None] = set()
        self._met: dict[str, tuple[_Listed, ...]] = {}
        self._first_types: dict[str, str | None] = {}
        for key, entry in entries.items():
            self._addresses.add(entry.account)
            if entry.state == "current" and is_wanted(entry):
                self._current[entry.account].add(key)

    def identify(self, asset: Asset, seen: Container[str]) -> Asset:
        """The listed asset under its key.

        Args:
            asset: as it was decoded, under the key of its id and time.
            seen: the keys that the walk has met so far.
        """
        entry = self._entries.get(asset.key)
        if entry is not None and entry.content_type == asset.content_type and asset.is_dated:
            return asset  # nearly always
        if asset.is_bare:
            return asset
        if not asset.is_dated or asset.content_type is None:
            version = self._known_version(asset, seen)
            if version is not None:
                return structs.replace(
                    asset,
                    key=version.key,
                    update_time_ms=version.update_time_ms,
                    content_type=asset.content_type or version.content_type,
                )
        asset = self._under_its_own_key(asset, entry)
        if asset.is_dated and asset.key not in self._entries:
            self._note(asset)
        return asset

    def other_versions(self, asset: Asset | Entry) -> list[str]:
        """The keys of other versions of an asset: entries, and what was listed since."""
        return [version.key for version in self._versions(asset) if version.key != asset.key]

    def has_met_dated(self, asset: Asset) -> bool:
        """Whether an asset that came without its time was listed with it as well."""
        return any(
            same_type(version.content_type, asset.content_type)
            for version in self._met.get(asset.id, ())
        )

    def _under_its_own_key(self, asset: Asset, entry: Entry | None) -> Asset:
        """The asset, under a key with its type if another asset has its id and time."""
        twin_key = twin_key_of(asset.id, asset.update_time_ms, asset.content_type)
        if twin_key not in self._twins:
            first = entry.content_type if entry is not None else None
            if first is None:
                first = self._first_types.setdefault(asset.key, asset.content_type)
            if same_type(first, asset.content_type):
                return asset
        return structs.replace(asset, key=twin_key)

    def _known_version(self, asset: Asset, seen: Container[str]) -> _Version | None:
        """The version that an asset without time or type is: the newest that the walk lacks."""
        versions = [version for version in self._versions(asset) if _may_be(asset, version)]
        versions.sort(key=lambda version: (version.state, -version.update_time_ms))
        unmet = [version for version in versions if version.key not in seen]
        return next(iter(unmet or versions), None)

    def _versions(self, asset: Asset | Entry) -> Iterator[_Version]:
        recorded = map(self._entries.__getitem__, self._recorded.get(asset.id, ()))
        versions: tuple[_Version, ...] = (*recorded, *self._met.get(asset.id, ()))
        for version in versions:
            if same_type(version.content_type, asset.content_type):
                yield version

    def _note(self, asset: Asset) -> None:
        versions = self._met.get(asset.id, ())
        if all(version.key != asset.key for version in versions):
            version = _Listed(
                asset.key, asset.update_time_ms, asset.create_time_ms, asset.content_type
            )
            self._met[asset.id] = (*versions, version)

    @cached_property
    def _twins(self) -> set[str]:
        return {entry.key for entry in self._at_start() if isinstance(entry, TwinEntry)}

    @cached_property
    def _recorded(self) -> dict[str, tuple[str, ...]]:
        """The keys of the entries by id, without those that were superseded."""
        found: dict[str, tuple[str, ...]] = {}
        for entry in self._at_start():
            if entry.state != "superseded":
                found[entry.id] = (*found.get(entry.id, ()), entry.key)
        return found

    def _at_start(self) -> Iterator[Entry]:
        return map(self._entries.__getitem__, islice([*self._entries], self._count))

    def scope(self, account: str | None, *, is_alone: bool) -> "Scope":
        """What the listing of an account is about, before anything is listed.

        A mirror of one account alone knows it by its email, or without one: what it was asked for
        by then does not count.

        Args:
            account: the email, or None.
            is_alone: whether the run is about no other account.
        """
        emails = self._addresses - {None}
        is_the_only_one = len(emails) <= 1 if account is None else emails <= {account}
        addresses = {account, None, *emails} if is_alone and is_the_only_one else {account}
        return Scope(self, addresses, is_new=bool(emails) and account not in self._addresses)

    def addresses_of(self, owner: int | str) -> set[str | None]:
        """The addresses under which assets of a `userId` are recorded."""
        return self._addresses_by_owner[str(owner)]

    @cached_property
    def _addresses_by_owner(self) -> dict[str, set[str | None]]:
        found: dict[str, set[str | None]] = defaultdict(set)
        for entry in self._at_start():
            if (owner := owner_of(entry.asset)) is not None:
                found[owner].add(entry.account)
        return found

    def current(self, addresses: Iterable[str | None]) -> set[str]:
        """The keys that were current at the start under some addresses, and are wanted."""
        return set().union(*(self._current[address] for address in addresses))

    def owner(self, key: str) -> str | None:
        """The `userId` of an entry, as text; None where it is not known."""
        owner = owner_of(self._entries[key].asset)
        return None if owner == "0" else owner


def _may_be(asset: Asset, version: _Version) -> bool:
    if asset.is_dated or version.update_time_ms == asset.update_time_ms:
        return version.update_time_ms == asset.update_time_ms
    created = asset.create_time_ms
    return created is None or version.create_time_ms in (None, created)


class Scope:
    """The entries that one account's listing is about.

    Args:
        known: what the mirror knew.
        addresses: as below.
        is_new: whether nothing is recorded under the account's present address: then the owner of
            what it lists tells which addresses it had before.

    Attributes:
        addresses: under which the entries are recorded that it is about.
        same_account: those of them that are this account's by what it lists.
        owners: the `userId` of what it lists.
    """

    def __init__(
        self, known: Known, addresses: Iterable[str | None], *, is_new: bool = False
    ) -> None:
        self._is_new = is_new
        self.addresses = set(addresses)
        self.same_account: set[str | None] = set()
        self.owners: set[int | str | None] = set()
        self._known = known

    def note(self, asset: Asset, entry: Entry | None) -> None:
        """Take in what is listed: who owns it, and under which address it is recorded."""
        if asset.owner not in self.owners:
            self.owners.add(asset.owner)
            if self._is_new and asset.owner:
                self.same_account |= self._known.addresses_of(asset.owner)
                self.addresses |= self.same_account
        if entry is not None and entry.account not in self.same_account:
            self.same_account.add(entry.account)
            self.addresses.add(entry.account)

    @property
    def _users(self) -> set[str]:
        return {str(owner) for owner in self.owners if owner}

    def may_own(self, entry: Entry) -> bool:
        """Whether an entry may belong to the owner of the listed assets."""
        return not self._users or owner_of(entry.asset) in (None, "0", *self._users)

    def expected(self, seen: Set[str]) -> set[str]:
        """The keys that were current at the start, and that the listing should have.

        Args:
            seen: the keys that it has.
        """
        keys = self._known.current(self.addresses)
        if not (missing := keys - seen):
            return keys
        owners = self._users
        if not owners:  # left out today; the records of the same assets may have it
            owners = {owner for owner in map(self._known.owner, keys & seen) if owner}
        if not owners:
            return keys
        return keys - {key for key in missing if self._known.owner(key) not in (None, *owners)}
