"""`head.json`: the lock of a bucket, its lease, its fence, and the index of its journal.

One object holds them all, and is changed only where it still is what this run wrote last. So a run
that was frozen past its lease, while another took it, can put nothing on record any more: its next
change fails. A segment of the journal counts if, and only if, it is named here.
"""

import contextlib
import os
import platform
import threading
import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from mirror.clock import elapsed_s, iso_of, now_iso
from mirror.errors import DiskError, LockedError
from mirror.models import NOT_JSON
from mirror.storage.layout import PRIVATE_FOLDER
from mirror.storage.objects import ConflictError, ObjectFacts, Objects

HEAD = f"{PRIVATE_FOLDER}/head.json"
LEASE_S = 60.0
"""Another machine may take the lease of a run that has not renewed it for so long."""


class Head(Struct, frozen=True, omit_defaults=True):
    """What `head.json` says.

    Attributes:
        segments: the objects that are the journal, in order, below the root's own folder.
        swap: how often it was changed; so two versions never have the same bytes.
        run: who changed it last.
        host: where the run that holds the lease is.
        spool: that run's spool, of which there is one on a machine for each user.
        pid: its process; 0 if nobody holds the lease.
        since: when it began, ISO 8601 UTC.
        until_s: when the lease ends, epoch seconds.
    """

    segments: Sequence[str] = ()
    swap: int = 0
    run: str = ""
    host: str = ""
    spool: str = ""
    pid: int = 0
    since: str = ""
    until_s: float = 0

    @property
    def is_held(self) -> bool:
        """Whether a run holds the lease, by this machine's clock."""
        return self.pid != 0 and self.until_s > time.time()


class Lease:
    """The lease of a bucket, and its index of segments.

    Args:
        objects: the bucket's.
        spool: the name of this machine's and user's spool.

    Attributes:
        head: what `head.json` says, as far as this run knows.
        run: this run's name.
        spool: as above.
    """

    def __init__(self, objects: Objects, spool: str) -> None:
        self.head = Head()
        self._objects = objects
        self.spool = spool
        self.run = os.urandom(8).hex()
        self._was: ObjectFacts | None = None
        self._attempted = b""
        self._is_taken = False
        self._lost: LockedError | None = None
        self._renewed_at_s = 0.0
        self._changing = threading.RLock()
        self._ended = threading.Event()

    @property
    def is_taken(self) -> bool:
        """Whether this run holds it, as far as it knows."""
        return self._is_taken

    def read(self) -> Head:
        """What `head.json` says now; an empty one if there is none.

        Raises:
            DiskError: it cannot be read, or is none of ours.
        """
        try:
            data, facts = self._objects.get(HEAD)
        except FileNotFoundError:
            self._was, self.head = None, Head()
            return self.head
        try:
            self.head = msgspec.json.decode(data, type=Head)
        except NOT_JSON:
            raise DiskError(
                "the lock of the bucket is damaged",
                where=self._objects.location(HEAD),
                hint="if no run is at work, delete that object and run `kling-mirror verify`",
            ) from None
        self._was = facts
        return self.head

    def take(self) -> None:
        """Take the lease; the spool's own lock is held, so no other run of this spool is at work.

        Raises:
            LockedError: another run holds it.
            DiskError: the bucket fails.
        """
        head = self.read()
        if head.is_held and head.spool != self.spool:
            raise _locked(head, self._objects.location(""))
        self._is_taken, self._lost = True, None
        self.run = os.urandom(8).hex()
        try:
            self._swap(head.segments, since=now_iso())
        except (LockedError, DiskError):
            self._is_taken = False
            raise
        self._ended.clear()
        threading.Thread(target=self._renew_until_ended, name="lease", daemon=True).start()

    def release(self) -> None:
        """Give the lease back; one that is lost, or cannot be given back, ends by itself."""
        self._ended.set()
        with self._changing:
            if self._is_taken and self._lost is None:
                with contextlib.suppress(LockedError, DiskError):
                    self._swap(self.head.segments, is_end=True)
            self._is_taken = False

    def require(self, *, at_once: bool = False) -> None:
        """See that no other run can have taken the lease since it was renewed.

        Args:
            at_once: renew it even if it was renewed a moment ago.

        Raises:
            LockedError: it is lost.
            DiskError: the bucket fails.
        """
        with self._changing:
            if self._lost is not None:
                raise self._lost
            if at_once or elapsed_s() - self._renewed_at_s > LEASE_S / 2:
                self._swap(self.head.segments)

    def index(self, segments: Sequence[str]) -> None:
        """Say which objects are the journal from now on.

        Raises:
            LockedError: the lease is lost; the journal is as it was.
            DiskError: the bucket fails; what was asked for may come true only by another call.
        """
        with self._changing:
            self._swap(segments)

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(LEASE_S / 3):
            with self._changing:
                if self._ended.is_set() or self._lost is not None:
                    return
                with contextlib.suppress(LockedError, DiskError):  # it is tried again
                    self._swap(self.head.segments)

    def _swap(
        self, segments: Sequence[str], *, since: str | None = None, is_end: bool = False
    ) -> None:
        """Change `head.json`, if nobody else has; to be called with the lock, but at the start."""
        if self._lost is not None:
            raise self._lost
        began_s = elapsed_s()
        new = Head(
            segments=tuple(segments),
            swap=self.head.swap + 1,
            run=self.run,
            host=platform.node(),
            spool=self.spool,
            pid=0 if is_end else os.getpid(),
            since=self.head.since if since is None else since,
            until_s=0 if is_end else time.time() + LEASE_S,
        )
        data = msgspec.json.encode(new)
        for _ in range(3):
            attempted, self._attempted = self._attempted, data
            try:
                if self._was is None:
                    self._was = self._objects.create(HEAD, data)
                else:
                    self._was = self._objects.replace(HEAD, data, self._was)
            except ConflictError:
                there, facts = self._there()
                if there == data:  # our own change, whose answer was lost
                    self._was = facts
                elif there is not None and there == attempted:  # the one before
                    self._was = facts
                    continue
                else:
                    self._lost = self._as_lost(there)
                    raise self._lost from None
            self.head, self._renewed_at_s = new, began_s
            return
        raise DiskError("the bucket keeps losing answers", where=self._objects.location(HEAD))

    def _there(self) -> tuple[bytes | None, ObjectFacts | None]:
        try:
            return self._objects.get(HEAD)
        except FileNotFoundError:
            return None, None

    def _as_lost(self, there: bytes | None) -> LockedError:
        with contextlib.suppress(*NOT_JSON):
            return _locked(msgspec.json.decode(there or b"", type=Head), self._objects.location(""))
        return LockedError("the lock of the bucket was removed", where=self._objects.location(HEAD))


def _locked(head: Head, where: str) -> LockedError:
    """The error for a lease that another run holds."""
    return LockedError(
        f"another run is at work: pid {head.pid} on {head.host}, since {head.since}",
        where=where.rstrip("/"),
        hint=f"wait until it is done; if it was killed, its lease ends at {iso_of(head.until_s)}",
    )
