"""`prune`: move what Kling has no more, or has replaced, to the trash; and empty the trash.

It is the only command that makes the mirror forget. For each entry: its files get a durable name in
`trash/`, the entry is dropped from the manifest, and only then the old names go.
"""

import shutil
from collections.abc import Iterator

from msgspec import Struct, field

from mirror.models import Entry, to_json
from mirror.stopping import Stop
from mirror.storage.local import Store
from mirror.storage.manifest import DropEntry, Manifest

_BATCH = 256


class Pruned(Struct):
    """What was moved, or deleted, or would be.

    Attributes:
        entries: keys that the manifest forgets.
        files: paths that went to the trash.
        bytes: of these.
        emptied: files that were deleted from the trash for good.
        emptied_bytes: of these.
    """

    entries: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    bytes: int = 0
    emptied: int = 0
    emptied_bytes: int = 0


def prune(store: Store, manifest: Manifest, *, dry_run: bool, stop: Stop) -> Pruned:
    """Move every gone or superseded entry's files to the trash.

    Args:
        store: the root, locked unless `dry_run`.
        manifest: loaded.
        dry_run: only tell.
        stop: asked to stop through it.

    Raises:
        OSError: the disk fails; what was moved is recorded.
        Interrupted: stopped between two batches.
    """
    pruned = Pruned()
    if not dry_run:
        _finish_earlier(store, manifest)
    entries = [entry for entry in manifest.entries.values() if entry.state != "current"]
    when = store.new_trash_name()
    for batch in _batches(entries):
        stop.check()
        paths = [stored.path for entry in batch for stored in entry.files()]
        there = [path for path in paths if store.path(path).is_file()]
        pruned.entries += [entry.key for entry in batch]
        pruned.files += there
        pruned.bytes += sum(store.path(path).stat().st_size for path in there)
        if not dry_run:
            store.trash(there, when, [to_json(entry) for entry in batch])
            manifest.record(DropEntry(entry.key) for entry in batch)
            for path in there:
                store.remove(path)
    if not dry_run and not manifest.is_compact:
        manifest.compact()
    return pruned


def _finish_earlier(store: Store, manifest: Manifest) -> None:
    """Take away the old names that a crash left of files that are in the trash already."""
    known = {stored.path for entry in manifest.entries.values() for stored in entry.files()}
    for folder, entry in store.trashed():
        for stored in entry.files():
            if stored.path not in known:
                store.remove_if_trashed(stored.path, folder)


def empty_trash(store: Store, pruned: Pruned, *, dry_run: bool) -> None:
    """Delete the trash for good.

    Raises:
        OSError: the disk fails.
    """
    files = [path for path in store.trash_folder.rglob("*") if path.is_file()]
    pruned.emptied = len(files)
    pruned.emptied_bytes = sum(path.stat().st_size for path in files)
    if not dry_run and store.trash_folder.exists():
        shutil.rmtree(store.trash_folder)


def _batches(entries: list[Entry]) -> Iterator[list[Entry]]:
    for start in range(0, len(entries), _BATCH):
        yield entries[start : start + _BATCH]
