"""`verify --rebuild`: a lost or damaged `manifest.json`, made anew from what is left.

In this order: the manifest as far as it can be read, else `manifest.json.bak`; the journal over it;
then the files themselves. A file's name holds its asset's id, and its time is the updateTime: that
makes an entry of it. What else the API said of it is lost until the asset changes.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Raw, Struct, field

from mirror.clock import now_iso
from mirror.errors import ManifestError
from mirror.jobs.verify import files_in_tree, sha256_of
from mirror.models import ROLES, Entry, StoredFile
from mirror.progress import Progress
from mirror.stopping import Stop
from mirror.storage.layout import CONTENT_FOLDERS
from mirror.storage.local import Store
from mirror.storage.manifest import BACKUP_NAME, NAME, Change, DropEntry, PutEntry
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
    loose = sorted(path for path in files_in_tree(root.dest) if path not in known)
    progress.expect(len(loose))
    found: dict[str, Entry] = {}
    for path in loose:
        stop.check()
        if not _add(found, path, storage):
            rebuilt.unknown.append(path)
        progress.advance(1)
    for key, entry in found.items():
        if entry.resource is None or key in manifest.entries:
            rebuilt.unknown += [stored.path for stored in entry.files()]
        else:
            rebuilt.from_files.append(key)
    if base != NAME and storage.path(NAME).exists():
        storage.set_aside(NAME)
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
    for path in sorted((storage.private / "history").rglob("*")):
        if path.is_file() and not path.is_symlink():
            history[sha256_of(path)] = path.relative_to(root.dest).as_posix()
    changes: list[Change] = []
    for entry in root.manifest.entries.values():
        stop.check()
        replaced = [it for it in entry.files() if _is_replaced(storage.path(it.path), it)]
        absent = [it for it in entry.files() if not storage.path(it.path).is_file()]
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


def _is_replaced(path: Path, stored: StoredFile) -> bool:
    return path.is_file() and (path.is_symlink() or sha256_of(path) != stored.sha256)


def _kept(stored: StoredFile | None, history: Mapping[str, str]) -> StoredFile | None:
    if stored is None or stored.sha256 not in history:
        return None
    return msgspec.structs.replace(stored, path=history[stored.sha256])


def _add(found: dict[str, Entry], path: str, storage: Store) -> bool:
    """Make an entry of a file, or add it to its asset's; False where its name tells nothing."""
    folders = path.split("/")[:-1]
    stem, suffix = split_suffix(path.rpartition("/")[2])
    is_cover = stem.endswith(_COVER)
    file = storage.path(path)
    match = _NAME.fullmatch(stem.removesuffix(_COVER))
    if match is None or not folders or file.is_symlink():
        return False
    time_ms = file.stat().st_mtime_ns // 1_000_000
    if match["id"] == str(time_ms) and (inner := _NAME.fullmatch(match["stem"] or "")):
        match = inner  # a collision was settled by the time, behind the id
    stored = _stored(file, path)
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


def _stored(file: Path, path: str) -> StoredFile:
    return StoredFile(
        path=path,
        size=file.stat().st_size,
        sha256=sha256_of(file),
        etag=None,
        last_modified=None,
        content_type=None,
        url="",
        fetched=now_iso(),
    )
