"""From complete partial files to recorded ones, so that every entry is true after any crash.

    promise   write down the coming entries, their partial files, and what they replace
    secure    make the files durable, and the promises
    vacate    keep the files in the way in history, record that, remove the old names
    place     put the files into their places
    record    make the names durable; record the entries, and what they replace as superseded

An entry is recorded only when its files are in place. A run that ends in between leaves promises
and partial files: see `recovery`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct

from mirror.models import ROLES, Entry, Role, StoredFile
from mirror.storage import layout
from mirror.storage.interface import BlockedError, Found, Placement, Storage
from mirror.storage.journal import Change, PutEntry
from mirror.storage.manifest import Manifest
from mirror.storage.partial import Note
from mirror.storage.promises import Promise
from mirror.storage.spool import Spool
from mirror.storage.versions import as_found, unlisted_version

CheckStop = Callable[[], None]


class Plan(Struct, frozen=True):
    """The planned entry of one asset, and its files.

    Attributes:
        entry: the entry.
        placements: its files that are on their way, by role.
        replaces: entries of earlier versions, as they were.
    """

    entry: Entry
    placements: dict[Role, Placement]
    replaces: tuple[Entry, ...] = ()


class Blocked(Struct, frozen=True):
    """A plan that cannot be placed, or not wholly.

    Attributes:
        plan: the plan.
        role: of the file whose place something else has.
        error: what is in the way.
    """

    plan: Plan
    role: Role
    error: str


class Placer:
    """Takes plans through the steps above, each step for a batch of them.

    Args:
        storage: where files go.
        spool: where they come from.
        manifest: loaded.
    """

    def __init__(self, storage: Storage, spool: Spool, manifest: Manifest) -> None:
        self._storage = storage
        self._spool = spool
        self._manifest = manifest

    def promise(self, plans: Iterable[Plan]) -> None:
        """Write down what is to be, not yet durable.

        Raises:
            OSError: the disk fails; nothing was written.
        """
        promises = [
            Promise(
                plan.entry,
                {role: placement.partial.name for role, placement in plan.placements.items()},
                [old.key for old in plan.replaces],
                is_twin=type(plan.entry) is not Entry,
            )
            for plan in plans
            if plan.placements
        ]
        if promises:
            self._spool.promises.add(promises)

    def has_to_vacate(self, plans: Iterable[Plan]) -> bool:
        """Whether a file is in the way or is replaced; mostly there is none."""
        return any(
            plan.replaces
            or self._taken_back(plan) is not None
            or any(
                self._storage.look(target.path) is not None for target in plan.placements.values()
            )
            for plan in plans
        )

    def vacate(self, plans: Sequence[Plan], *, placed: Sequence[str] = ()) -> None:
        """Keep the files in the way in history, record that, then remove their old names.

        Args:
            plans: what is to be placed.
            placed: paths where an earlier run has put files already.

        Raises:
            OSError: the disk fails.
        """
        kept: dict[str, str] = {}
        replaced = [
            self._manifest.entries.get(old.key, old) for plan in plans for old in plan.replaces
        ]
        self._manifest.record([PutEntry(self._moved(old, kept)) for old in replaced])
        targets = {
            placement.path for plan in plans for placement in plan.placements.values()
        }.union(placed)
        for path, copy in kept.items():  # before anything is placed: see `Storage.remove_kept`
            if path not in targets:
                self._storage.remove_kept(path, copy, but=placed)
        in_the_way = [
            entry for plan in plans for entry in self._versions_in_the_way(plan, kept, placed)
        ]
        self._manifest.record(map(PutEntry, in_the_way))

    def place(self, plans: Iterable[Plan]) -> tuple[list[Plan], list[Blocked]]:
        """Put the files into their places.

        Returns:
            What was placed, and what could not be: there, only that place itself is in the way. An
            asset whose cover alone is blocked is placed without it.

        Raises:
            OSError: the disk fails.
        """
        done: list[Plan] = []
        blocked: list[Blocked] = []
        for plan in plans:
            placed: dict[Role, Placement] = {}
            try:
                for role, placement in plan.placements.items():
                    self._storage.place(placement)
                    placed[role] = placement
            except BlockedError as error:
                blocked.append(Blocked(plan, role, f"{error.strerror}: {error.filename}"))
                if placed:
                    without = msgspec.structs.replace(plan.entry, **{role: None})
                    done.append(Plan(without, placed, plan.replaces))
            else:
                done.append(plan)
        return done, blocked

    def record(self, plans: Sequence[Plan], changes: Sequence[Change] = ()) -> None:
        """Record what is in its place now, and what it replaces as superseded.

        Args:
            plans: what was placed, or changes only the record.
            changes: to be recorded along with it.

        Raises:
            OSError: the disk fails; what was recorded is true all the same.
        """
        taken_back = [(plan, before) for plan in plans if (before := self._taken_back(plan))]
        self._storage.settle(
            placement.path for plan in plans for placement in plan.placements.values()
        )
        self._manifest.record([*self._entries(plans), *changes])
        for plan, before in taken_back:
            for role in ROLES:
                old, new = before.file(role), plan.entry.file(role)
                if old is not None and new is not None and old.sha256 == new.sha256:
                    self._storage.remove_kept(old.path, new.path)
        self._spool.promises.settle(_partials(plans))

    def give_up(self, blocked: Sequence[Blocked], done: Sequence[Plan]) -> None:
        """Undo what was done for what could not be placed; its bytes stay in the spool.

        Args:
            blocked: what could not be placed.
            done: what was.

        Raises:
            OSError: the disk fails.
        """
        placed = {placement.partial for plan in done for placement in plan.placements.values()}
        keys = {plan.entry.key for plan in done}
        for plan in (block.plan for block in blocked):
            for role, placement in plan.placements.items():
                facts = plan.entry.file(role)
                if facts is not None and placement.partial not in placed:
                    placement.partial.save(Note.of(facts, complete=True))
            if plan.entry.key not in keys:
                for old in plan.replaces:
                    self._move_back(old)
                self._spool.promises.settle(_partials([plan]))

    def carry_out(
        self, plans: Sequence[Plan], check_stop: CheckStop, *, placed: Sequence[str] = ()
    ) -> list[Blocked]:
        """Take plans through all steps, one after the other.

        Args:
            plans: what is to be placed; promised, if a crash is to be made up for.
            check_stop: raises if the run is to stop; asked while nothing is placed.
            placed: paths where an earlier run has put files already.

        Returns:
            What could not be placed.

        Raises:
            OSError: the disk fails.
        """
        for plan in plans:
            self._storage.secure([*plan.placements.values()])(check_stop)
        self.vacate(plans, placed=placed)
        done, blocked = self.place(plans)
        self.give_up(blocked, done)
        self._storage.settle(placed)
        self.record(done)
        return blocked

    def _move_back(self, old: Entry) -> None:
        """Put an earlier version back from history, where its successor could not be placed."""
        moved = self._manifest.entries.get(old.key, old)
        pairs = [(role, moved.file(role), old.file(role)) for role in ROLES]
        back: dict[Role, Placement] = {}
        for role, now, was in pairs:
            is_moved = now is not None and was is not None and now.path != was.path
            if now and was and is_moved and not self._storage.is_intact(was):
                copy = self._spool.partial(old.key, role, is_copy=True)
                self._storage.copy_out(now.path, copy)
                back[role] = Placement(copy, was.path, old.update_time_ms, now.size, now.sha256)
        if self.carry_out([Plan(old, back)], lambda: None):
            return
        for _, now, was in pairs:
            if now is not None and was is not None and now.path != was.path:
                self._storage.remove_kept(now.path, was.path)

    def _entries(self, plans: Iterable[Plan]) -> Iterator[Change]:
        for plan in plans:
            yield PutEntry(plan.entry)
        for plan in plans:
            for old in plan.replaces:
                now = self._manifest.entries.get(old.key)
                if now is not None:
                    kept = {
                        role: stored
                        if (stored := now.file(role)) and layout.original_path(stored.path)
                        else None
                        for role in ROLES
                    }
                    yield PutEntry(
                        msgspec.structs.replace(now, state="superseded", gone_since=None, **kept)
                    )

    def _taken_back(self, plan: Plan) -> Entry | None:
        """The superseded entry that the plan's makes current again."""
        before = self._manifest.entries.get(plan.entry.key)
        is_back = before is not None and before.state == "superseded" != plan.entry.state
        return before if is_back else None

    def _moved(self, old: Entry, kept: dict[str, str]) -> Entry:
        """An entry with its files in history; adds to `kept` which path is kept where."""
        files: dict[str, StoredFile | None] = {}
        for role in ROLES:
            stored = old.file(role)
            if stored is not None and (original := layout.original_path(stored.path)) is not None:
                kept[original] = stored.path  # an earlier run came so far
            elif stored is not None:
                place, version = stored.path, str(old.update_time_ms)
                earlier = self._kept_by_another(stored, version)
                is_its_place = earlier is None or self._has_bytes(place, stored)
                moved = earlier or self._kept(stored, version)
                if moved is not None and is_its_place:
                    kept[place] = moved.path
                stored = moved or stored  # what is missing stays on record until it is replaced
            files[role] = stored
        return msgspec.structs.replace(old, **files)

    def _kept(self, stored: StoredFile, version: str) -> StoredFile | None:
        """A file as it is in history; None where there is none to be kept."""
        if self._storage.size_of(stored.path) is None:
            return None
        is_intact = self._storage.is_intact(stored)
        path = self._storage.keep(stored.path, version)
        if is_intact:
            return msgspec.structs.replace(stored, path=path)
        return as_found(self._storage, path, stored)

    def _kept_by_another(self, stored: StoredFile, version: str) -> StoredFile | None:
        """A file that a run on another machine has kept: its place may have a newer one by now."""
        path = layout.history_path(stored.path, version)
        is_there = self._storage.size_of(path) is not None and self._has_bytes(path, stored)
        return msgspec.structs.replace(stored, path=path) if is_there else None

    def _has_bytes(self, path: str, stored: StoredFile) -> bool:
        found = as_found(self._storage, path)
        return found is not None and found.sha256 == stored.sha256

    def _versions_in_the_way(
        self, plan: Plan, kept: dict[str, str], placed: Sequence[str]
    ) -> Iterator[Entry]:
        """Entries for files that would lose theirs: each stays on record, and is verified."""
        before = self._manifest.entries.get(plan.entry.key)
        for role, placement in plan.placements.items():
            if placement.path in kept or placement.path in placed:
                continue
            found = self._storage.look(placement.path)
            if found is not None and found.is_file and not self._is_there(placement, found):
                path = self._storage.keep(placement.path, f"replaced-{found.mtime_ns // 1_000_000}")
                was = before.file(role) if before is not None else None
                stored = as_found(self._storage, path, was)
                if stored is not None and not self._is_named(path):
                    yield unlisted_version(self._manifest.entries, plan.entry, role, stored)
        if (old := self._taken_back(plan)) is not None:
            for role in ROLES:
                was, now = old.file(role), plan.entry.file(role)
                if was is not None and (now is None or now.sha256 != was.sha256):
                    yield unlisted_version(self._manifest.entries, old, role, was)

    def _is_there(self, placement: Placement, found: Found) -> bool:
        """Whether a file already has the bytes that are to replace it."""
        if found.size != placement.size:
            return False
        there = as_found(self._storage, found.path)
        return there is not None and there.sha256 == placement.sha256

    def _is_named(self, path: str) -> bool:
        entries = self._manifest.entries.values()
        return any(stored.path == path for entry in entries for stored in entry.files())


def _partials(plans: Iterable[Plan]) -> dict[str, list[str]]:
    return {
        plan.entry.key: [placement.partial.name for placement in plan.placements.values()]
        for plan in plans
        if plan.placements
    }
