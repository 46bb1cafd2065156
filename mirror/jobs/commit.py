"""From complete partial files to durable, recorded ones: for a batch of assets at a time.

Here it is decided what each entry is to be, and where its files go. `storage.placing` takes them
there, in an order in which no entry is recorded before its files are in place.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from msgspec import Struct

from mirror.clock import now_iso
from mirror.models import (
    Action,
    Asset,
    Entry,
    Failure,
    FileFacts,
    Role,
    StoredFile,
    TwinEntry,
    TwinFailure,
)
from mirror.net.json_text import stripped
from mirror.storage import layout
from mirror.storage.interface import Placement
from mirror.storage.journal import PutFailure
from mirror.storage.partial import Note, Partial
from mirror.storage.placing import Blocked, Plan
from mirror.storage.root import Root

T = TypeVar("T")


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


class Failed(Struct, frozen=True):
    """A file that could not be fetched."""

    action: Action
    role: Role
    error: str


class Fetched(Struct, frozen=True):
    """An asset whose wanted files are complete; none, where only the record changes.

    Attributes:
        action: what was to be done.
        files: the files.
        failed: the cover that could not be fetched, if any: its resource is recorded all the same.
        is_whole: whether no other outcome of this action follows.
    """

    action: Action
    files: Mapping[Role, FetchedFile]
    failed: Failed | None = None
    is_whole: bool = True


Outcome = Fetched | Failed


class Committed(Struct, frozen=True):
    """What became of an outcome.

    Attributes:
        entry: as it is recorded now; None where nothing is.
        files: those that are in their places.
        failed: the file that is missing, if one is.
    """

    entry: Entry | None
    files: Mapping[Role, FetchedFile]
    failed: Failed | None


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
        self._spool = root.spool
        self._manifest = root.manifest
        self._placer = root.placer
        self._by_account = by_account
        self._check_stop = check_stop
        self._owners: dict[str, str] | None = None
        self._promised: dict[str, Plan] = {}
        self._placed: set[str] = set()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="disk")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    async def commit(self, batch: Sequence[Outcome]) -> list[Committed]:
        """Make a batch durable. It is not to be cancelled: `check_stop` ends it where it may end.

        Args:
            batch: outcomes; of one asset the last one counts, which has all files.

        Returns:
            What became of each outcome, in the order of the batch.

        Raises:
            Interrupted: by `check_stop`; nothing of the batch is placed, and the next run does it.
            DiskError, OSError: the disk fails; what was recorded is true all the same.
        """
        now = now_iso()
        latest = {outcome.action.asset.key: outcome for outcome in batch}
        fetched = [outcome for outcome in latest.values() if isinstance(outcome, Fetched)]
        plans = [self._plan(outcome, now) for outcome in fetched]
        self._check_stop()
        await self._secure(plans)
        self._check_stop()
        if self._placer.has_to_vacate(plans):
            await self._in_thread(self._placer.vacate, plans)
            done, blocked = await self._in_thread(self._placer.place, plans)
        else:
            done, blocked = self._placer.place(plans)
        failed = {failure.action.asset.key: failure for failure in _failures(batch, blocked)}
        changes = [PutFailure(self._failure(failure, now)) for failure in failed.values()]
        if blocked:
            await self._in_thread(self._placer.give_up, blocked, done)
        await self._in_thread(self._placer.record, done, changes)
        placed = {plan.entry.key: plan for plan in done}
        for outcome in fetched:
            plan = placed.get(outcome.action.asset.key)
            if plan is not None and not outcome.is_whole:
                self._placed |= {target.partial.name for target in plan.placements.values()}
        return [self._committed(outcome, placed, failed) for outcome in batch]

    def promise(self, outcome: Fetched) -> None:
        """Make sure that complete files are not lost if the run is cut off before their commit.

        The next run commits them then, even if Kling no longer lists the asset. If the disk cannot
        take even a promise, the commit reports it, and at least the files are not fetched again.
        """
        try:
            plan = self._plan(outcome, now_iso())
            self._placer.promise([plan])
            self._promised[plan.entry.key] = plan
        except OSError:
            for file in outcome.files.values():
                with contextlib.suppress(OSError):
                    file.partial.save(Note.of(file.facts, complete=True))

    def _committed(
        self, outcome: Outcome, placed: Mapping[str, Plan], failed: Mapping[str, Failed]
    ) -> Committed:
        key = outcome.action.asset.key
        plan = placed.get(key)
        if plan is None or not isinstance(outcome, Fetched):
            return Committed(None, {}, failed.get(key))
        files = {
            role: file
            for role, file in outcome.files.items()
            if (stored := plan.entry.file(role)) and stored.sha256 == file.facts.sha256
        }
        return Committed(plan.entry, files, failed.get(key))

    async def _secure(self, plans: Sequence[Plan]) -> None:
        placements = [placement for plan in plans for placement in plan.placements.values()]
        if not placements:
            return
        known = [self._promised.pop(plan.entry.key, None) for plan in plans]
        self._placer.promise(
            plan for plan, before in zip(plans, known, strict=True) if plan is not before
        )
        wait = self._storage.secure(placements)

        def secure() -> None:
            wait(self._check_stop)
            self._spool.promises.sync()

        await self._in_thread(secure)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def _plan(self, outcome: Fetched, now: str) -> Plan:
        action, asset = outcome.action, outcome.action.asset
        files = {
            role: file
            for role, file in outcome.files.items()
            if file.partial.name not in self._placed  # while its cover was still to come
        }
        promised = self._promised.get(asset.key)
        if promised is not None and promised.placements.keys() == files.keys():
            return promised
        entry = self._before(action)
        paths = self._paths(outcome, entry)
        stored: dict[Role, StoredFile | None] = {"resource": None, "cover": None}
        if entry is not None:
            stored = {"resource": entry.resource, "cover": entry.cover}
        placements: dict[Role, Placement] = {}
        for role, file in files.items():
            stored[role] = StoredFile.of(file.facts, path=paths[role], fetched=now)
            placements[role] = Placement(
                file.partial,
                paths[role],
                asset.update_time_ms,
                file.facts.size,
                file.facts.sha256,
            )
        return Plan(entry_of(asset, entry, stored), placements, tuple(action.supersedes))

    def _before(self, action: Action) -> Entry | None:
        """The entry that is to be brought up to date; a superseded one begins anew."""
        entry = self._manifest.entries.get(action.asset.key, action.entry)
        return entry if entry is not None and entry.state != "superseded" else None

    def _paths(self, outcome: Fetched, entry: Entry | None) -> dict[Role, str]:
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
        if entry is not None and entry.resource is not None:
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

    def _failure(self, outcome: Failed, now: str) -> Failure:
        asset = outcome.action.asset
        before = self._manifest.failures.get(asset.key)
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


def _failures(batch: Iterable[Outcome], blocked: Iterable[Blocked]) -> Iterator[Failed]:
    """The failures: files that could not be fetched or placed."""
    actions = {}
    for outcome in batch:
        actions[outcome.action.asset.key] = outcome.action
        failed = outcome if isinstance(outcome, Failed) else outcome.failed
        if failed is not None:
            yield failed
    for block in blocked:
        yield Failed(actions[block.plan.entry.key], block.role, block.error)


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
