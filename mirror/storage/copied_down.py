"""A bucket that was copied down while its journal was not empty: its segments become a journal.

In a bucket the journal is the objects that `head.json` names (see `lease`). In a folder it is one
file. Once it is, `head.json` goes: copied up again, it would name what is long outdated.
"""

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from mirror.models import NOT_JSON
from mirror.storage.durable import Disk


class _Head(Struct):
    segments: Sequence[str] = ()


def take_in(private: Path, disk: Disk) -> None:
    """Turn the segments in a folder into its journal, if there are any; to be called with the lock.

    Args:
        private: the root's own folder.
        disk: takes the durable steps.

    Raises:
        OSError: the disk fails.
    """
    head, journal = private / "head.json", private / "journal"
    try:
        segments = msgspec.json.decode(head.read_bytes(), type=_Head).segments
    except (FileNotFoundError, *NOT_JSON):
        return
    parts = []
    for name in [*segments, *({"journal"} - set(segments))]:
        with contextlib.suppress(FileNotFoundError):  # it was not copied, or never was
            parts.append((private / name).read_bytes())
    if any(parts):
        disk.write_atomic(journal, b"".join(parts))
    disk.unlink(head)
    shutil.rmtree(private / "segments", ignore_errors=True)
