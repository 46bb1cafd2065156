"""From complete partial files to durable, recorded ones: for a batch of assets at a time.

The order is the invariant (nothing is recorded that is not there):

    fsync the files → keep what they replace in history, record that → rename → fsync the
    folders → record the entries → take away the names that moved to history
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

import msgspec
from msgspec import Struct

from mirror.clock import now_iso
from mirror.models import (
    ROLES,
    Action,
    Asset,
    Entry,
    Failure,
    FileFacts,
    Kind,
    Role,
    StoredFile,
    TwinEntry,
    TwinFailure,
)
from mirror.net.json_text import stripped
from mirror.storage import layout
from mirror.storage.interface import Placement
from mirror.storage.journal import Change, PutEntry, PutFailure
from mirror.storage.root import Root
from mirror.storage.spool import Partial

T = TypeVar("T")

_MOST_OPEN = 96
"""Files open to be synced: macOS lets a process have 256, and 64 transfers have two each."""


class FetchedFile(Struct, frozen=True):
    """One complete, checked file, still in `partial/`.

    Attributes:
        suffix: the true one, with its dot.
        reused: whether it is the same bytes as the file that it replaces.
    """

    partial: Partial
    suffix: str
    facts: FileFacts
    reused: bool


class Fetched(Struct, frozen=True):
    """An asset all of whose wanted files are complete; none, where only the record changes."""

    action: Action
    files: Mapping[Role, FetchedFile]


class Failed(Struct, frozen=True):
    """An asset that could not be fetched."""

    action: Action
    role: Role
    error: str


Outcome = Fetched | Failed


class Committer:
    """Makes outcomes durable, one batch at a time.

    What waits for the disk happens in a thread of its own, in few and large pieces; all else in the
    event loop: two threads that both run Python hinder each other more than they help.

    Args:
        root: open, with the lock.
        by_account: whether new files go under their account's folder.
        check_stop: raises if the run is to stop; asked while that is still free of charge.
    """

    def __init__(
        self,
        root: Root,
        *,
        by_account: bool,
        check_stop: Callable[[], None],
    ) -> None:
        self._storage = root.storage
        self._manifest = root.manifest
        self._by_account = by_account
        self._check_stop = check_stop
        self._owners: dict[str, str] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="disk")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    async def commit(self, batch: Sequence[Outcome]) -> list[Entry | None]:
        """Make a batch durable. It is not to be cancelled: `check_stop` ends it where it may end.

        Args:
            batch: outcomes of different assets.

        Returns:
            The entry of each outcome, in the order of the batch; None for what failed.

        Raises:
            Interrupted: by `check_stop`; nothing of the batch is placed.
            DiskError, OSError: the disk fails; what was recorded is true all the same.
        """
        now = now_iso()
        fetched = [outcome for outcome in batch if isinstance(outcome, Fetched)]
        failures = [self._failure(outcome) for outcome in batch if isinstance(outcome, Failed)]
        planned = {outcome.action.asset.key: self._planned(outcome, now) for outcome in fetched}
        placements = [placement for _, moves in planned.values() for placement in moves]
        self._check_stop()
        for start in range(0, len(placements), _MOST_OPEN):
            waiting = self._storage.secure(placements[start : start + _MOST_OPEN])
            await self._in_thread(waiting)
        self._check_stop()
        replaced = [old for outcome in fetched for old in outcome.action.supersedes]
        kept = await self._in_thread(self._supersede, replaced) if replaced else set()
        self._storage.place(placements, kept=kept)
        entries = {key: entry for key, (entry, _) in planned.items()}
        changes = [*map(PutEntry, entries.values()), *map(PutFailure, failures)]
        unneeded = kept - {placement.path for placement in placements}
        await self._in_thread(self._record, changes, unneeded)
        return [entries.get(outcome.action.asset.key) for outcome in batch]

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def _supersede(self, replaced: Sequence[Entry]) -> set[str]:
        """Record entries as superseded, their files in history; returns the paths they had."""
        kept: set[str] = set()
        self._manifest.record([PutEntry(self._superseded(entry, kept)) for entry in replaced])
        return kept

    def _record(self, changes: Sequence[Change], unneeded: Set[str]) -> None:
        self._storage.settle()
        self._manifest.record(changes)
        for path in unneeded:
            self._storage.remove(path)

    def _planned(self, outcome: Fetched, now: str) -> tuple[Entry, list[Placement]]:
        asset = outcome.action.asset
        paths = self._paths(outcome)
        stored: dict[Role, StoredFile | None] = {"resource": None, "cover": None}
        entry = outcome.action.entry
        if entry is not None and entry.state != "superseded":
            stored = {"resource": entry.resource, "cover": entry.cover}
        placements = []
        for role, file in outcome.files.items():
            placements.append(Placement(file.partial, paths[role], asset.update_time_ms))
            stored[role] = StoredFile.of(file.facts, path=paths[role], fetched=now)
        return entry_of(asset, entry, stored), placements

    def _paths(self, outcome: Fetched) -> dict[Role, str]:
        """Where the files go: an entry keeps its path, a new one gets the first that is free."""
        action = outcome.action
        owners = self._path_owners()
        mine = {action.asset.key, *(old.key for old in action.supersedes)}
        paths = layout.choose_paths(
            action.asset,
            {role: file.suffix for role, file in outcome.files.items()},
            is_free=lambda path: owners.get(layout.fold(path)) in (None, *mine),
            by_account=self._by_account,
        )
        entry = action.entry
        if entry is not None and entry.state != "superseded" and entry.resource is not None:
            base = entry.resource.path.removesuffix(layout.suffix_in(entry.resource.path))
            for role, file in outcome.files.items():
                old = entry.file(role)
                paths[role] = old.path if old else layout.file_path(base, role, file.suffix)
        owners.update((layout.fold(path), action.asset.key) for path in paths.values())
        return paths

    def _path_owners(self) -> dict[str, str]:
        if self._owners is None:
            self._owners = {
                layout.fold(stored.path): entry.key
                for entry in self._manifest.entries.values()
                if entry.state != "superseded"
                for stored in entry.files()
            }
        return self._owners

    def _superseded(self, old: Entry, kept: set[str]) -> Entry:
        """The entry as superseded, its files in history; adds the paths that they had to `kept`."""
        files: dict[str, StoredFile | None] = {}
        for role in ROLES:
            stored = old.file(role)
            files[role] = None
            if stored is not None and self._storage.is_intact(stored):
                path = self._storage.keep(stored.path, str(old.update_time_ms))
                files[role] = msgspec.structs.replace(stored, path=path)
                kept.add(stored.path)
        return msgspec.structs.replace(old, state="superseded", gone_since=None, **files)

    def _failure(self, outcome: Failed) -> Failure:
        asset = outcome.action.asset
        before = self._manifest.failures.get(asset.key)
        now = now_iso()
        failure = TwinFailure if asset.is_twin else Failure
        return failure(
            id=asset.id,
            update_time_ms=asset.update_time_ms,
            account=asset.account,
            role=outcome.role,
            error=outcome.error,
            attempts=before.attempts + 1 if before else 1,
            first=before.first if before else now,
            last=now,
            name=asset.name,
            content_type=asset.content_type,
        )


def entry_of(asset: Asset, before: Entry | None, stored: Mapping[Role, StoredFile | None]) -> Entry:
    """The record of a listed asset whose files are in place.

    Args:
        asset: as it is listed now.
        before: its entry so far, which keeps what the listing leaves out today.
        stored: its files; a role may be missing.
    """
    entry = TwinEntry if asset.is_twin else Entry
    known = before or asset
    created = asset.create_time_ms
    return entry(
        id=asset.id,
        update_time_ms=asset.update_time_ms,
        account=asset.account or known.account,
        content_type=asset.content_type or known.content_type,
        name=asset.name or known.name,
        create_time_ms=known.create_time_ms if created is None else created,
        state="current",
        gone_since=None,
        resource=stored.get("resource"),
        cover=stored.get("cover"),
        asset=stripped(asset.raw),
    )


def needs_record(action: Action) -> bool:
    """Whether an unchanged asset's entry says something that is no longer so."""
    entry = action.entry
    if action.kind is not Kind.UNCHANGED or entry is None:
        return False
    return (
        bool(action.supersedes)
        or entry.state != "current"
        or action.asset.account not in (None, entry.account)
    )
