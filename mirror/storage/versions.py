"""Records of files as they are found: not as they were recorded, or not recorded at all."""

from collections.abc import Container

from mirror.clock import now_iso
from mirror.models import Entry, FileFacts, Role, StoredFile, key_of
from mirror.storage.hashing import hash_file
from mirror.storage.interface import Storage


def as_found(storage: Storage, path: str, known: FileFacts | None = None) -> StoredFile | None:
    """The record of a file by its bytes; None where it cannot be read, as under a bad sector.

    Args:
        storage: where it is.
        path: its place there.
        known: what was recorded of it, or of the file that lay there before.
    """
    try:
        hashed = hash_file(storage.open(path))
    except OSError:
        return None
    return StoredFile(
        path=path,
        size=hashed.size,
        sha256=hashed.sha256,
        etag=None,
        last_modified=None,
        content_type=None,
        url=known.url if known is not None else "",
        fetched=now_iso(),
    )


def unlisted_version(keys: Container[str], base: Entry, role: Role, stored: StoredFile) -> Entry:
    """The entry of a version that Kling never listed as such, at a time that no entry has.

    Args:
        keys: of all entries.
        base: the entry of another version.
        role: what the file is.
        stored: the file.
    """
    time_ms = base.update_time_ms + 1
    while key_of(base.id, time_ms) in keys:
        time_ms += 1
    return Entry(
        id=base.id,
        update_time_ms=time_ms,
        account=base.account,
        content_type=base.content_type,
        name=base.name,
        create_time_ms=base.create_time_ms,
        state="superseded",
        gone_since=None,
        resource=stored if role == "resource" else None,
        cover=stored if role == "cover" else None,
        asset=base.asset,
    )
