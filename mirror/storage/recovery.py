"""What an interrupted run left: its promises are kept, and no file is left without an entry.

The next run that opens the root to change it does this before anything else, even if Kling no
longer lists the assets.
"""

from collections.abc import Callable, Sequence
from typing import BinaryIO

from mirror.models import ROLES, Entry, Role, StoredFile
from mirror.storage import layout
from mirror.storage.hashing import hash_file
from mirror.storage.interface import Placement, Storage
from mirror.storage.journal import PutEntry
from mirror.storage.manifest import Manifest
from mirror.storage.placing import CheckStop, Placer, Plan
from mirror.storage.promises import Promise
from mirror.storage.spool import Spool
from mirror.storage.versions import as_found, unlisted_version


class Recovery:
    """Finishes what an interrupted run began.

    Args:
        storage: where files go.
        spool: where they come from.
        manifest: loaded.
        placer: takes files from there to here.
    """

    def __init__(self, storage: Storage, spool: Spool, manifest: Manifest, placer: Placer) -> None:
        self._storage = storage
        self._spool = spool
        self._manifest = manifest
        self._placer = placer

    def keep_promises(self, check_stop: CheckStop) -> int | None:
        """Keep the promises of an earlier run, as far as their bytes are here.

        Returns:
            How many assets have an entry now that had none; None if nothing was promised.

        Raises:
            OSError: the disk fails.
        """
        plans, placed = [], []
        promises = self._spool.promises.read()
        if promises:
            self._manifest.entries.check()  # before anything changes
        for promise in promises:
            check_stop()
            plan, there = self._found(promise, check_stop)
            if plan is None:
                self._spool.promises.settle({promise.entry.key: promise.partials.values()})
            else:
                plans.append(plan)
                placed += there
        if not plans:
            return 0 if promises else None
        entries = self._manifest.entries
        new = [plan.entry.key for plan in plans if plan.entry.key not in entries]
        self._placer.carry_out(plans, check_stop, placed=placed)
        self._spool.promises.settle({it.entry.key: it.partials.values() for it in promises})
        return sum(key in entries for key in new)  # without what could not be placed

    def sweep(self) -> None:
        """Record the files in history that have no entry, so that `verify` checks them, too.

        A second name of a file that is recorded, given right before a run was cut off, is removed.

        Raises:
            OSError: the disk fails.
        """
        named = {file.path for entry in self._manifest.entries.values() for file in entry.files()}
        history = (found.path for found in self._storage.walk("history") if found.is_file)
        left = [path for path in history if path not in named]
        if not left:
            return
        for name, entry in self._storage.trashed():
            for trashed in entry.files():
                if trashed.path in left:  # a `prune` was cut off
                    self._storage.remove_if_trashed(trashed.path, name)
        owners = self._owners()
        for path in (path for path in left if self._storage.size_of(path) is not None):
            original = layout.original_path(path)
            owner = owners.get(layout.fold(original)) if original is not None else None
            if owner is None:  # it is somebody else's
                continue
            known = owner[0].file(owner[1])
            if known is not None:  # a second name that was given too early
                self._storage.remove_kept(path, known.path)
            stored = as_found(self._storage, path, known)
            if stored is not None:
                version = unlisted_version(self._manifest.entries, *owner, stored)
                self._manifest.record([PutEntry(version)])

    def _owners(self) -> dict[str, tuple[Entry, Role]]:
        """The entry that each path belongs to, or belonged to before its file moved to history."""
        owners: dict[str, tuple[Entry, Role]] = {}
        for entry in self._manifest.entries.values():
            for role in ROLES:
                if (stored := entry.file(role)) is not None:
                    path = layout.original_path(stored.path) or stored.path
                    owners[layout.fold(path)] = entry, role
        return owners

    def _found(self, promise: Promise, check_stop: CheckStop) -> tuple[Plan | None, list[str]]:
        """What to do for a promise, and the paths of its files that are already in place."""
        entry = promise.entry
        placements: dict[Role, Placement] = {}
        placed: list[str] = []
        for role, name in promise.partials.items():
            stored = entry.file(role)
            if stored is None:
                return None, []
            partial = self._spool.named(name)
            if _has_bytes(lambda: partial.path.open("rb"), stored, check_stop):  # noqa: B023
                placements[role] = Placement(
                    partial, stored.path, entry.update_time_ms, stored.size, stored.sha256
                )
            elif _has_bytes(lambda: self._storage.open(stored.path), stored, check_stop):  # noqa: B023
                placed.append(stored.path)
            else:
                return None, []
        entries = self._manifest.entries
        older = [entries[key] for key in promise.replaces if key in entries]
        if not placements and not self._is_open(entry, promise, older):
            return None, []
        replaces = tuple(old for old in older if old.state != "superseded")
        return Plan(entry, placements, replaces), placed

    def _is_open(self, entry: Entry, promise: Promise, older: Sequence[Entry]) -> bool:
        """Whether a promise whose files are all in their places is not recorded yet."""
        now = self._manifest.entries.get(entry.key)
        if now is None or any(old.state == "current" for old in older):
            return True
        return any(_facts(now.file(role)) != _facts(entry.file(role)) for role in promise.partials)


def _has_bytes(opening: Callable[[], BinaryIO], stored: StoredFile, check_stop: CheckStop) -> bool:
    try:
        hashed = hash_file(opening(), on_chunk=lambda _: check_stop())
    except OSError:
        return False
    return (hashed.size, hashed.sha256) == (stored.size, stored.sha256)


def _facts(stored: StoredFile | None) -> tuple[str, str] | None:
    return (stored.path, stored.sha256) if stored is not None else None
