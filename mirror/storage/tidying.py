"""What is removed from the spool once a mirror is complete, and what is not.

A complete, checked file is removed only if the mirror has its bytes, too: otherwise it may be all
that is left of an asset. Files that other programs put into the folder stay.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence

from mirror.models import Entry, StoredFile
from mirror.storage.hashing import hash_file
from mirror.storage.interface import Storage
from mirror.storage.spool import Left, Spool


def tidy(spool: Spool, storage: Storage, entries: Iterable[Entry]) -> None:
    """Remove partial files that nobody waits for any more.

    Args:
        spool: where they are; all that is listed was fetched.
        storage: where mirrored files are.
        entries: all that there are.

    Raises:
        OSError: the disk fails.
    """
    left = list(spool.left())
    if left:
        recorded: dict[str, list[StoredFile]] = {}
        for entry in entries:
            for stored in entry.files():
                recorded.setdefault(stored.sha256, []).append(stored)
        for file in left:
            if _may_go(file, storage, recorded):
                file.partial.discard()
    spool.clear_notes()


def _may_go(
    file: Left,
    storage: Storage,
    recorded: Mapping[str, Sequence[StoredFile]],
) -> bool:
    if file.is_copy or (file.note is not None and not file.note.complete):
        return True
    try:
        sha256 = file.note.sha256 if file.note else hash_file(file.partial.path.open("rb")).sha256
    except OSError:
        return False
    if sha256 not in recorded:
        return file.note is None  # a beginning: what is complete was promised, or noted
    return any(_has_hash(storage, stored) for stored in recorded[sha256])


def _has_hash(storage: Storage, stored: StoredFile) -> bool:
    with contextlib.suppress(OSError):
        return hash_file(storage.open(stored.path)).sha256 == stored.sha256
    return False
