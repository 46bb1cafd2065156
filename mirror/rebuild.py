"""`verify --rebuild`: a lost or damaged `manifest.json`, made anew from what is left.

In this order: the manifest as far as it can be read, else `manifest.json.bak`; the journal over it;
then the files themselves. A file's name holds its asset's id, and its time is the updateTime: that
makes an entry of it. What else the API said of it is lost until the asset changes.
"""

import re
from pathlib import Path

import msgspec
from msgspec import Raw, Struct, field

from mirror.clock import now_iso
from mirror.errors import ManifestError
from mirror.layout import CONTENT_FOLDERS
from mirror.manifest import BACKUP_NAME, NAME, Manifest, PutEntry
from mirror.media import split_suffix
from mirror.models import Entry, Progress, StoredFile
from mirror.stopping import Stop
from mirror.store import Store
from mirror.verify import files_in_tree, sha256_of

_NAME = re.compile(r"(?:(?P<stem>.*)-)?(?P<id>\d{6,30})(?:-(?P<time>\d{10,16}))?")
_COVER = ".cover"


class Rebuilt(Struct):
    """What a rebuilt manifest was made of.

    Attributes:
        base: the file that it began with, or None.
        entries: in all.
        from_files: keys of entries that were made of files alone.
        unknown: files that no entry could be made of.
        missing: paths of entries whose files are not there.
    """

    base: str | None
    entries: int = 0
    from_files: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def rebuild(store: Store, *, progress: Progress, stop: Stop) -> Rebuilt:
    """Make the manifest anew, and write it.

    Args:
        store: the root, locked.
        progress: told of files.
        stop: asked to stop through it.

    Raises:
        ManifestError: the manifest is newer than this program.
        OSError: the disk fails.
        Interrupted: stopped; nothing was changed.
    """
    manifest, base = _base(store)
    rebuilt = Rebuilt(base)
    known = {stored.path for entry in manifest.entries.values() for stored in entry.files()}
    loose = sorted(files_in_tree(store.dest) - known)
    progress.expect(len(loose))
    found: dict[str, Entry] = {}
    for path in loose:
        stop.check()
        if not _add(found, path, store):
            rebuilt.unknown.append(path)
        progress.advance(1)
    for key, entry in found.items():
        if entry.resource is None or key in manifest.entries:
            rebuilt.unknown += [stored.path for stored in entry.files()]
        else:
            rebuilt.from_files.append(key)
    if base != NAME and store.path(NAME).exists():
        store.set_aside(NAME)
    manifest.record(PutEntry(found[key]) for key in rebuilt.from_files)
    manifest.compact(keep_backup=base == NAME)
    rebuilt.entries = len(manifest.entries)
    rebuilt.missing = [
        stored.path
        for entry in manifest.entries.values()
        for stored in entry.files()
        if not store.is_intact(stored)
    ]
    return rebuilt


def in_words(rebuilt: Rebuilt) -> list[str]:
    """What was rebuilt, for people, a line each; the verdict comes last."""
    lines = [f"no entry could be made of: {path}" for path in rebuilt.unknown]
    lines += [f"recorded, but missing or of another size: {path}" for path in rebuilt.missing]
    made_of = [rebuilt.base or "no earlier manifest", "the journal"]
    if rebuilt.from_files:
        made_of.append(f"{len(rebuilt.from_files):,} assets by their files alone")
    verdict = f"manifest rebuilt: {rebuilt.entries:,} entries, from {', '.join(made_of)}"
    return [*lines, f"{verdict}; now run `kling-mirror sync`"]


def _base(store: Store) -> tuple[Manifest, str | None]:
    for name in (NAME, BACKUP_NAME):
        manifest = Manifest(store.dest, store.journal)
        try:
            manifest.load(name)
        except ManifestError as error:
            if error.is_newer:
                raise
            continue
        return manifest, name
    manifest = Manifest(store.dest, store.journal)
    manifest.replay()
    return manifest, None


def _add(found: dict[str, Entry], path: str, store: Store) -> bool:
    """Make an entry of a file, or add it to its asset's; False where its name tells nothing."""
    folders = path.split("/")[:-1]
    stem, suffix = split_suffix(path.rpartition("/")[2])
    is_cover = stem.endswith(_COVER)
    match = _NAME.fullmatch(stem.removesuffix(_COVER))
    if match is None or not folders:
        return False
    stored = _stored(store.path(path), path)
    time_ms = int(match["time"] or store.path(path).stat().st_mtime_ns // 1_000_000)
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
