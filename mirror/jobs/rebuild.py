"""`verify --rebuild`: a lost or damaged `manifest.json`, made anew from what is left.

In this order: the manifest as far as it can be read, else `manifest.json.bak`; the journal over it;
then the files themselves. A file's name holds its asset's id, and its time is the updateTime: that
makes an entry of it. What else the API said of it is lost until the asset changes.
"""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct, field

from mirror.clock import now_iso
from mirror.errors import ManifestError
from mirror.models import ROLES, Entry, StoredFile
from mirror.progress import Progress
from mirror.stopping import Stop
from mirror.storage.hashing import hash_file
from mirror.storage.interface import Found, Storage
from mirror.storage.journal import Change, DropEntry, PutEntry
from mirror.storage.layout import CONTENT_FOLDERS, PRIVATE_FOLDER, composed
from mirror.storage.manifest import BACKUP_NAME, NAME
from mirror.storage.media import split_suffix
from mirror.storage.root import Root

_NAME = re.compile(r"(?:(?P<stem>.*)-)?(?P<id>\d{6,30})")
_COVER = ".cover"


class Rebuilt(Struct):
    """What a rebuilt manifest was made of.

    Attributes:
        base: the file that it began with, or None.
        entries: in all.
        from_files: keys of entries that were made of files alone.
        unknown: files that no entry could be made of.
        missing: recorded paths where the recorded bytes are not.
    """

    base: str | None
    entries: int = 0
    from_files: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def rebuild(root: Root, *, progress: Progress, stop: Stop) -> Rebuilt:
    """Make the manifest anew, and write it.

    Args:
        root: open, with the lock; its manifest is loaded here.
        progress: told of files.
        stop: asked to stop through it.

    Raises:
        ManifestError: the manifest is newer than this program.
        OSError: the disk fails.
        Interrupted: stopped; nothing was changed.
    """
    storage, manifest = root.storage, root.manifest
    base = _load_base(root)
    rebuilt = Rebuilt(base)
    corrections = _held_against_files(root, rebuilt, stop)
    for change in corrections:
        manifest.apply(change)
    known = {stored.path for entry in manifest.entries.values() for stored in entry.files()}
    in_tree = (found for found in storage.walk("tree") if composed(found.path) not in known)
    loose = sorted(in_tree, key=lambda found: found.path)
    progress.expect(len(loose))
    found: dict[str, Entry] = {}
    for file in loose:
        stop.check()
        if not _add(found, file, storage):
            rebuilt.unknown.append(file.path)
        progress.advance(1)
    for key, entry in found.items():
        if entry.resource is None or key in manifest.entries:
            rebuilt.unknown += [stored.path for stored in entry.files()]
        else:
            rebuilt.from_files.append(key)
    if base != NAME and storage.document_version(NAME) is not None:
        when = now_iso().replace(":", "")
        storage.copy_document(NAME, f"{PRIVATE_FOLDER}/{NAME}.damaged-{when}")
    manifest.record([*corrections, *(PutEntry(found[key]) for key in rebuilt.from_files)])
    manifest.compact(keep_backup=base == NAME)
    rebuilt.entries = len(manifest.entries)
    return rebuilt


def _load_base(root: Root) -> str | None:
    """Load the best that is left of the manifest; returns its name, None for the journal alone."""
    for name in (NAME, BACKUP_NAME):
        try:
            root.manifest.load(name)
        except ManifestError as error:
            if error.is_newer:
                raise
            continue
        return name
    root.manifest.replay()
    return None


def _held_against_files(root: Root, rebuilt: Rebuilt, stop: Stop) -> list[Change]:
    """What must change in the manifest so that no entry says what its files do not.

    A backup may be older than the files: where an asset was replaced since, its earlier version
    is in history, and what lies at its place is a version that the backup does not know.
    """
    storage, history = root.storage, {}
    for path in sorted(found.path for found in storage.walk("history") if found.is_file):
        history[hash_file(storage.open(path)).sha256] = path
    changes: list[Change] = []
    for entry in root.manifest.entries.values():
        stop.check()
        replaced = [it for it in entry.files() if _is_replaced(storage, it)]
        absent = [it for it in entry.files() if storage.size_of(it.path) is None]
        rebuilt.missing += [stored.path for stored in (*replaced, *absent)]
        if not replaced:
            continue
        kept = {role: _kept(entry.file(role), history) for role in ROLES}
        if kept["resource"] is None:
            changes.append(DropEntry(entry.key))
        else:
            old = msgspec.structs.replace(entry, state="superseded", gone_since=None, **kept)
            changes.append(PutEntry(old))
    return changes


def _is_replaced(storage: Storage, stored: StoredFile) -> bool:
    if storage.size_of(stored.path) is None:
        return False
    return hash_file(storage.open(stored.path)).sha256 != stored.sha256


def _kept(stored: StoredFile | None, history: Mapping[str, str]) -> StoredFile | None:
    if stored is None or stored.sha256 not in history:
        return None
    return msgspec.structs.replace(stored, path=history[stored.sha256])


def _add(found: dict[str, Entry], file: Found, storage: Storage) -> bool:
    """Make an entry of a file, or add it to its asset's; False where its name tells nothing."""
    folders = file.path.split("/")[:-1]
    stem, suffix = split_suffix(file.path.rpartition("/")[2])
    is_cover = stem.endswith(_COVER)
    match = _NAME.fullmatch(stem.removesuffix(_COVER))
    if match is None or not folders or not file.is_file:
        return False
    time_ms = file.mtime_ns // 1_000_000
    if match["id"] == str(time_ms) and (inner := _NAME.fullmatch(match["stem"] or "")):
        match = inner  # a collision was settled by the time, behind the id
    stored = _stored(file, storage)
    entry = Entry(
        id=match["id"],
        update_time_ms=time_ms,
        account=folders[0] if len(folders) > 1 else None,
        content_type=folders[-1] if folders[-1] in CONTENT_FOLDERS else None,
        name=f"{match['stem'] or match['id']}{suffix}",
        create_time_ms=None,
        state="current",
        gone_since=None,
        resource=None,
        cover=None,
        asset=Raw(msgspec.json.encode({"id": match["id"], "updateTime": time_ms})),
    )
    known = found.get(entry.key, entry)
    if known.file("cover" if is_cover else "resource") is not None:
        return False
    if is_cover:
        found[entry.key] = msgspec.structs.replace(known, cover=stored)
    else:
        name, kind = entry.name, entry.content_type
        found[entry.key] = msgspec.structs.replace(
            known, resource=stored, name=name, content_type=kind
        )
    return True


def _stored(file: Found, storage: Storage) -> StoredFile:
    return StoredFile(
        path=file.path,
        size=file.size,
        sha256=hash_file(storage.open(file.path)).sha256,
        etag=None,
        last_modified=None,
        content_type=None,
        url="",
        fetched=now_iso(),
    )
