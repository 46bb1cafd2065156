"""`prune`: move what is gone from Kling, or superseded, to the trash; and empty the trash.

It is the only command that makes the mirror forget. For each entry: its files get a durable name in
`trash/`, the entry is dropped from the manifest, and only then the old names go. What lies in
`history/` without an entry goes the same way.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable

from msgspec import Struct, field

from mirror.models import to_json
from mirror.stopping import Stop, batches
from mirror.storage.interface import Found
from mirror.storage.journal import DropEntry
from mirror.storage.layout import PRIVATE_FOLDER, TRASH_RECORDS, composed
from mirror.storage.root import Root
from mirror.text import decodable

_BATCH = 256
_TIME_LENGTH = len("2025-01-31T120000Z")


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


class Trash(Struct, frozen=True):
    """A part of the trash that is to be deleted.

    Attributes:
        names: of each `prune` that moved it there.
        files: how many there are.
        bytes: of these.
        only_here: assets of it whose bytes the mirror has nowhere else.
    """

    names: list[str]
    files: int
    bytes: int
    only_here: int


def prune(root: Root, warn: Callable[[str], None], *, dry_run: bool, stop: Stop) -> Pruned:
    """Move every gone or superseded entry's files to the trash.

    Args:
        root: open, with the lock.
        warn: called with a line for people, if an interrupted run left something.
        dry_run: change nothing, only list.
        stop: ends the work when it is set.

    Raises:
        OSError: the disk fails; what was moved is recorded.
        Interrupted: stopped between two batches.
    """
    pruned = Pruned()
    storage, manifest = root.storage, root.manifest
    if not dry_run:
        root.recover(stop.check, warn)
        _finish_earlier(root)
    entries = [entry for entry in manifest.entries.values() if entry.state != "current"]
    unrecorded = _unrecorded(root)
    name = storage.new_trash_name()
    for batch in batches(entries, most=_BATCH):
        stop.check()
        paths = [stored.path for entry in batch for stored in entry.files()]
        sizes = {path: size for path in paths if (size := storage.size_of(path)) is not None}
        pruned.entries += [entry.key for entry in batch]
        pruned.files += sizes
        pruned.bytes += sum(sizes.values())
        if not dry_run:
            storage.trash(sizes, name, [to_json(entry) for entry in batch])
            manifest.record(DropEntry(entry.key) for entry in batch)
            for path in sizes:
                storage.remove(path)
    for strays in batches(unrecorded, most=_BATCH):
        stop.check()
        pruned.files += [decodable(found.path) for found in strays]
        pruned.bytes += sum(found.size for found in strays)
        if not dry_run:
            storage.trash([found.path for found in strays], name, [])
            for found in strays:
                storage.remove(found.path)
    if not dry_run:
        if entries or unrecorded:
            storage.finish_trash(name)
        root.compact()
    return pruned


def to_empty(root: Root, *, older_than_s: float | None) -> Trash:
    """The part of the trash to delete; never what the same command moved there.

    Args:
        root: open.
        older_than_s: only what was moved there at least this many seconds ago; None for all.
    """
    parts: dict[str, list[Found]] = defaultdict(list)
    for found in root.storage.walk("trash"):
        name = found.path.removeprefix(f"{PRIVATE_FOLDER}/trash/").partition("/")[0]
        parts[name].append(found)
    unfinished = root.storage.unfinished_trash()
    names = [name for name in parts if name not in unfinished and is_older(name, older_than_s)]
    files = (found for name in names for found in parts[name])
    sizes = [found.size for found in files if found.path.rpartition("/")[2] not in TRASH_RECORDS]
    entries = root.manifest.entries.values()
    here = {stored.sha256 for entry in entries for stored in entry.files()}
    only_here = {
        entry.key
        for name, entry in root.storage.trashed()
        if name in names and entry.resource is not None and entry.resource.sha256 not in here
    }
    return Trash(sorted(names), len(sizes), sum(sizes), len(only_here))


def empty(root: Root, trash: Trash, pruned: Pruned, *, dry_run: bool) -> None:
    """Delete a part of the trash for good.

    Raises:
        OSError: the disk fails.
    """
    pruned.emptied, pruned.emptied_bytes = trash.files, trash.bytes
    if not dry_run:
        root.storage.empty_trash(trash.names)


def is_older(name: str, seconds: float | None) -> bool:
    """Whether a `prune` is so long ago, by its name; what has another name is of unknown age."""
    if seconds is None:
        return True
    try:
        then = dt.datetime.strptime(name[:_TIME_LENGTH], "%Y-%m-%dT%H%M%S%z")
    except ValueError:
        return False
    return (dt.datetime.now(dt.UTC) - then).total_seconds() > seconds


def _finish_earlier(root: Root) -> None:
    """Remove the old names of files that are in the trash already, where a crash left them."""
    unfinished = root.storage.unfinished_trash()
    if not unfinished:
        return
    known = {stored.path for entry in root.manifest.entries.values() for stored in entry.files()}
    for name, entry in root.storage.trashed():
        for stored in entry.files():
            if name in unfinished and stored.path not in known:
                root.storage.remove_if_trashed(stored.path, name)
    for name in unfinished:
        root.storage.finish_trash(name)


def _unrecorded(root: Root) -> list[Found]:
    """The files in history that no entry names, above all replaced files that were damaged."""
    known = {stored.path for entry in root.manifest.entries.values() for stored in entry.files()}
    return [found for found in root.storage.walk("history") if composed(found.path) not in known]
