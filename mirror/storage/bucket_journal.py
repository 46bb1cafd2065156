"""The journal of a bucket: segments, of which those count that `head.json` names."""

import contextlib
import itertools
from collections.abc import Sequence

from mirror.clock import now_iso
from mirror.errors import DiskError
from mirror.storage.layout import PRIVATE_FOLDER
from mirror.storage.lease import Lease
from mirror.storage.objects import ConflictError, Objects

_COPIED = "journal"
_SEGMENTS = "segments"
_TRIES = 3


class BucketJournal:
    """The journal of a bucket. Paths are below the root's own folder.

    Args:
        objects: the bucket's.
        lease: names the segments.
    """

    def __init__(self, objects: Objects, lease: Lease) -> None:
        self._objects = objects
        self._lease = lease
        self._parts: list[tuple[str, int]] = []
        self._number = itertools.count()

    def read(self) -> bytes:
        """All of it.

        Raises:
            DiskError: a segment is missing, or the bucket fails.
        """
        for _ in range(_TRIES):
            segments = self._segments()
            try:
                parts = [self._objects.get(f"{PRIVATE_FOLDER}/{name}")[0] for name in segments]
            except FileNotFoundError:  # a run has put them into the manifest meanwhile
                continue
            self._parts = list(zip(segments, map(len, parts), strict=True))
            return b"".join(parts)
        raise DiskError(
            "a part of the journal is missing",
            where=self._objects.location(f"{PRIVATE_FOLDER}/{_SEGMENTS}"),
            hint="rebuild the manifest with `kling-mirror verify --rebuild`",
        )

    def append(self, data: bytes, *, at: int) -> None:
        """Put a segment, then name it in `head.json`: from then on it counts.

        Args:
            data: whole lines.
            at: the bytes so far; what lies behind them was never promised.

        Raises:
            LockedError: the lease is lost.
            DiskError: the bucket fails.
        """
        if sum(size for _, size in self._parts) != at:
            data = self.read()[:at] + data
            self._parts = []
        name = f"{_SEGMENTS}/{now_iso().replace(':', '')}-{self._lease.run}-{next(self._number)}"
        with contextlib.suppress(ConflictError):  # an answer was lost: the name is this run's
            self._objects.create(f"{PRIVATE_FOLDER}/{name}", data)
        self._lease.index([*(part for part, _ in self._parts), name])
        self._parts.append((name, len(data)))

    def empty(self) -> None:
        """Name no segment any more, then delete all that are there.

        Raises:
            LockedError, DiskError: as for `append`.
        """
        self._lease.index([])
        copied = [f"{PRIVATE_FOLDER}/{name}" for name, _ in self._parts if name == _COPIED]
        self._parts = []
        with contextlib.suppress(DiskError):  # they say nothing any more
            left = [path for path, _ in self._objects.list(f"{PRIVATE_FOLDER}/{_SEGMENTS}")]
            self._objects.delete([*copied, *left])

    def _segments(self) -> Sequence[str]:
        head = self._lease.head if self._lease.is_taken else self._lease.read()
        # A folder that was copied up may have a journal, which no `head.json` names yet.
        if _COPIED in head.segments:
            return head.segments
        copied = self._objects.head(f"{PRIVATE_FOLDER}/{_COPIED}")
        return [*head.segments, _COPIED] if copied is not None and copied.size else head.segments
