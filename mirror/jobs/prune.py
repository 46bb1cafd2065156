"""`prune`: move what Kling has no more, or has replaced, to the trash; and empty the trash.

It is the only command that makes the mirror forget. For each entry: its files get a durable name in
`trash/`, the entry is dropped from the manifest, and only then the old names go.
"""

from collections.abc import Iterator

from msgspec import Struct, field

from mirror.models import Entry, to_json
from mirror.stopping import Stop
from mirror.storage.journal import DropEntry
from mirror.storage.root import Root

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


def prune(root: Root, *, dry_run: bool, stop: Stop) -> Pruned:
    """Move every gone or superseded entry's files to the trash.

    Args:
        root: open, with the lock.
        dry_run: only tell.
        stop: asked to stop through it.

    Raises:
        OSError: the disk fails; what was moved is recorded.
        Interrupted: stopped between two batches.
    """
    pruned = Pruned()
    storage, manifest = root.storage, root.manifest
    if not dry_run:
        _finish_earlier(root)
    entries = [entry for entry in manifest.entries.values() if entry.state != "current"]
    when = storage.new_trash_name()
    for batch in _batches(entries):
        stop.check()
        paths = [stored.path for entry in batch for stored in entry.files()]
        sizes = {path: size for path in paths if (size := storage.size_of(path)) is not None}
        pruned.entries += [entry.key for entry in batch]
        pruned.files += sizes
        pruned.bytes += sum(sizes.values())
        if not dry_run:
            storage.trash(sizes, when, [to_json(entry) for entry in batch])
            manifest.record(DropEntry(entry.key) for entry in batch)
            for path in sizes:
                storage.remove(path)
    if not dry_run:
        root.compact()
    return pruned


def _finish_earlier(root: Root) -> None:
    """Take away the old names that a crash left of files that are in the trash already."""
    known = {stored.path for entry in root.manifest.entries.values() for stored in entry.files()}
    for name, entry in root.storage.trashed():
        for stored in entry.files():
            if stored.path not in known:
                root.storage.remove_if_trashed(stored.path, name)


def empty_trash(root: Root, pruned: Pruned, *, dry_run: bool) -> None:
    """Delete the trash for good.

    Raises:
        OSError: the disk fails.
    """
    sizes = [found.size for found in root.storage.walk("trash")]
    pruned.emptied, pruned.emptied_bytes = len(sizes), sum(sizes)
    if not dry_run:
        root.storage.empty_trash()


def _batches(entries: list[Entry]) -> Iterator[list[Entry]]:
    for start in range(0, len(entries), _BATCH):
        yield entries[start : start + _BATCH]
