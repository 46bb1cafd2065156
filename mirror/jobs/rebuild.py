"""`verify --rebuild`: rebuild a lost or damaged `manifest.json` from what is left.

In this order: the manifest as far as it can be read, else `manifest.json.bak`; the journal over it;
the trash, for what came back from it; then the files themselves, by their names and times. A hash
that is known, if by `SHA256SUMS` alone, is never replaced by that of a file: the file is damaged.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import partial

import msgspec
from msgspec import Struct, field

from mirror.clock import now_iso
from mirror.errors import DiskError, ManifestError
from mirror.jobs import verify
from mirror.jobs.evidence import Comparison, Files
from mirror.jobs.naming import read_name, with_file
from mirror.models import ROLES, Entry, StoredFile, TwinEntry
from mirror.progress import Progress
from mirror.stopping import Stop
from mirror.storage.interface import Storage
from mirror.storage.journal import PutEntry, as_twin
from mirror.storage.layout import CONTENT_FOLDERS, PRIVATE_FOLDER
from mirror.storage.manifest import BACKUP_NAME, NAME, SUMS_NAME, Manifest
from mirror.storage.root import Root
from mirror.text import decodable

WITHOUT_JOURNAL = " without the journal"
_SUM = re.compile(r"([0-9a-f]{64}) [ *](.+)")


class Rebuilt(Struct):
    """What a rebuilt manifest was made of.

    Attributes:
        base: the file that it began with, or None; marked where the journal could not be read.
        entries: in all.
        from_files: keys of entries that were made of files alone.
        unknown: files that no entry could be made of.
        missing: recorded paths where no file is.
        damaged: paths whose files have other bytes than are known of them, or cannot be read.
    """

    base: str | None
    entries: int = 0
    from_files: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def rebuild(root: Root, *, progress: Progress, stop: Stop) -> Rebuilt:
    """Rebuild the manifest, and write it.

    Args:
        root: open, with the lock; its manifest is loaded here.
        progress: notified of files.
        stop: ends the work when it is set.

    Raises:
        ManifestError: the manifest is newer than this program.
        OSError: the disk fails.
        Interrupted: stopped; nothing was changed.
    """
    storage, manifest = root.storage, root.manifest
    base = _load_base(root)
    is_whole = base == NAME
    root.recover(stop.check, progress.warn)
    rebuilt = Rebuilt(base)
    files = Files(storage, progress, stop)
    sums = {} if is_whole else _sums(storage)
    trashed = [entry for _, entry in storage.trashed()]
    comparison = Comparison(
        files,
        manifest.entries.values(),
        sums=sums,
        trashed={entry.key for entry in trashed},
        is_backup=not is_whole,
    )
    changes = list(comparison.changes())
    for change in changes:
        manifest.apply(change)
    rebuilt.missing, rebuilt.damaged = comparison.missing, comparison.damaged
    claimed = {stored.path for entry in manifest.entries.values() for stored in entry.files()}
    rebuilt.missing += sorted(sums.keys() - claimed - files.found.keys())
    loose = files.found.keys() - claimed
    progress.expect(len(loose))
    for entry in _returned(trashed, loose, files):
        if entry.key not in manifest.entries:
            changes.append(PutEntry(entry))
            manifest.apply(changes[-1])
            loose -= {stored.path for stored in entry.files()}
    for entry in _made_of(sorted(loose), files, sums, rebuilt):
        added = _fitting(entry, manifest.entries)
        if added is None:
            rebuilt.unknown += [stored.path for stored in entry.files()]
        else:
            changes.append(PutEntry(added))
            manifest.apply(changes[-1])
            rebuilt.from_files.append(added.key)
    progress.advance(len(loose))
    in_tree = (path for path in rebuilt.unknown if not path.startswith(PRIVATE_FOLDER))
    rebuilt.unknown = sorted(map(decodable, in_tree))
    if not is_whole and storage.document_version(NAME) is not None:
        when = now_iso().replace(":", "")
        storage.copy_document(NAME, f"{PRIVATE_FOLDER}/{NAME}.damaged-{when}")
    manifest.record(changes)
    manifest.compact(keep_backup=is_whole)
    verify.note(root, rebuilt.damaged, may_lack=not is_whole)
    rebuilt.entries = len(manifest.entries)
    return rebuilt


def _load_base(root: Root) -> str | None:
    """Load the best that is left of the manifest; returns what that is, None for the journal."""
    manifest = root.manifest
    for name in (NAME, BACKUP_NAME):
        if _was_read(manifest, partial(manifest.load, name)):
            return name
    if _was_read(manifest, manifest.replay):
        return None
    for name in (NAME, BACKUP_NAME):
        if _was_read(manifest, partial(manifest.load, name, with_journal=False)):
            return f"{name}{WITHOUT_JOURNAL}"
    return f"nothing{WITHOUT_JOURNAL}"


def _was_read(manifest: Manifest, read: Callable[[], None]) -> bool:
    """Whether a part of the manifest could be read, and each entry of it."""
    try:
        read()
        manifest.entries.check()
    except ManifestError as error:
        if error.is_newer:
            raise
        return False
    except DiskError:  # no permission
        return False
    return True


def _sums(storage: Storage) -> dict[str, str]:
    """The hashes that `SHA256SUMS` has, by path."""
    try:
        text = storage.read_document(SUMS_NAME).decode(errors="replace")
    except OSError:
        return {}
    lines = map(_SUM.fullmatch, text.splitlines())
    return {found[2]: found[1] for found in lines if found is not None}


def _returned(trashed: Iterable[Entry], loose: Set[str], files: Files) -> Iterator[Entry]:
    """The entries in the trash whose very files are in their places again."""
    for entry in trashed:
        back = {
            role: stored
            for role in ROLES
            if (stored := entry.file(role)) is not None
            and stored.path in loose
            and files.sha256(stored.path) == stored.sha256
        }
        if "resource" in back:
            yield msgspec.structs.replace(entry, **dict.fromkeys(ROLES) | back)


def _made_of(
    loose: Iterable[str], files: Files, sums: Mapping[str, str], rebuilt: Rebuilt
) -> Iterable[Entry]:
    """The entries that files stand for by their names; notes those that stand for none."""
    made: dict[tuple[object, ...], Entry] = {}
    for path in loose:
        found = files.found[path]
        named = read_name(path, files.time_ms(path)) if found.is_file else None
        sha256 = files.sha256(path) if named is not None else None
        known = sums.get(path, sha256)
        if named is None or known is None:
            rebuilt.unknown.append(path)
            continue
        like, role = named
        group = like.id, like.update_time_ms, like.content_type, like.state
        entry = made.get(group, like)
        if entry.file(role) is not None:
            rebuilt.unknown.append(path)
            continue
        if known != sha256:
            rebuilt.damaged.append(path)
        made[group] = with_file(entry, role, _stored(path, found.size, known), like)
    return made.values()


def _fitting(entry: Entry, entries: Mapping[str, Entry]) -> Entry | None:
    """The entry, as a twin if an asset of another type has its key; None if it cannot be one."""
    other = entries.get(entry.key)
    if entry.resource is None:
        return None
    if other is None:
        return entry
    twin = as_twin(TwinEntry, entry)
    types = {entry.content_type, other.content_type}
    is_twin = len(types) > 1 and types <= {*CONTENT_FOLDERS} and twin.key not in entries
    return twin if is_twin else None


def _stored(path: str, size: int, sha256: str) -> StoredFile:
    return StoredFile(
        path=path,
        size=size,
        sha256=sha256,
        etag=None,
        last_modified=None,
        content_type=None,
        url="",
        fetched=now_iso(),
    )
