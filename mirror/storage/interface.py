"""The storage of a mirror's root: everything that a run needs of it, for any kind of storage.

`local.LocalFolder` is the folder on a disk. An object store can be another: it knows neither rename
nor fsync, so the steps here have names for their effects. `secure` makes complete files safe from
a power cut, `place` puts them where the tree has them, `settle` makes that durable; for a folder
these are fsync, rename and the folder's fsync, for a store one conditional PUT may be all three.
It does not handle partial files: the spool is always a local folder (see `spool`).

All paths are texts relative to the root, with `/`. What the system refuses is an `OSError`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Literal, Self

from msgspec import Struct

from mirror.clock import now_iso
from mirror.models import Entry, StoredFile
from mirror.storage.partial import Partial

Area = Literal["tree", "history", "trash"]
"""The parts of the root: files in their places, replaced files, pruned files."""


class BlockedError(OSError):
    """The place of one file is blocked; other files are not affected."""


class Proof(Struct, frozen=True):
    """What a bucket's service was found to do.

    Attributes:
        service: which service; a copy of the bucket elsewhere is asked anew.
        has_digests: whether its ETags are digests of the bytes that it took.
    """

    service: str
    has_digests: bool


class Marker(Struct, omit_defaults=True):
    """The document that makes a place a mirror's root, `.kling-mirror/root.json`.

    Attributes:
        format: `kling-mirror`.
        version: 1.
        id: of this root, the same for its copies.
        created: ISO 8601 UTC.
        proof: of a bucket: how it proves what it holds.
    """

    format: str
    version: int
    id: str
    created: str
    proof: Proof | None = None

    @classmethod
    def new(cls) -> Self:
        """That of a new root."""
        import uuid  # noqa: PLC0415 - for new roots alone

        return cls("kling-mirror", 1, uuid.uuid4().hex, now_iso())


class Placement(Struct, frozen=True):
    """A complete partial file and the place it is meant for.

    Attributes:
        partial: where its bytes are.
        path: its place.
        mtime_ms: epoch milliseconds, the asset's updateTime.
        size: bytes.
        sha256: hex.
    """

    partial: Partial
    path: str
    mtime_ms: int
    size: int
    sha256: str


class Found(Struct, frozen=True, gc=False):
    """A file that a walk met.

    Attributes:
        path: as the disk has it; our own paths are in Unicode's NFC.
        size: bytes.
        mtime_ns: epoch nanoseconds.
        is_file: whether it is a regular file, and not a link or the like.
    """

    path: str
    size: int
    mtime_ns: int
    is_file: bool


class Holder(Struct, frozen=True):
    """A run that holds the lock.

    Attributes:
        pid: its process.
        since: ISO 8601 UTC.
    """

    pid: int
    since: str


class Storage(ABC):
    """A mirror's root: its files, the documents beside them, and the lock."""

    # The root itself.

    @property
    @abstractmethod
    def where(self) -> str:
        """The root, as messages name it."""

    @abstractmethod
    def location(self, path: str) -> str:
        """A file or document, as messages name it."""

    @property
    @abstractmethod
    def spool_folder(self) -> Path:
        """The local folder for partial files."""

    @property
    @abstractmethod
    def is_prepared(self) -> bool:
        """Whether there is a mirror's root."""

    @abstractmethod
    def prepare(self, begin: Callable[[], None]) -> str:
        """Make it a mirror's root, or see that it is one.

        Args:
            begin: called before it counts as a root, to put an empty manifest there.

        Returns:
            The root's id.

        Raises:
            DiskError: it cannot be.
        """

    @abstractmethod
    def lock(self) -> AbstractContextManager[None]:
        """Hold the lock: one run at a time.

        Raises:
            LockedError: another run holds it.
            DiskError: there can be no lock.
        """

    @abstractmethod
    def holder(self) -> Holder | None:
        """The run that is at work now; None also if it was killed, as far as can be found out."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""

    # The documents: the manifest, its backup and sums, the gallery.

    @abstractmethod
    def read_document(self, name: str) -> bytes:
        """The whole content of a document; a `FileNotFoundError` where there is none."""

    @abstractmethod
    def document_version(self, name: str) -> object:
        """What differs between a document and its replacement; None where there is no document."""

    @abstractmethod
    def write_document(self, name: str, content: bytes | Iterable[bytes]) -> None:
        """Replace a document in one step: a reader, or a crash, sees the old or the new."""

    @abstractmethod
    def copy_document(self, name: str, copy: str) -> None:
        """Keep a document under a second name as well, durably."""

    def documents_in(self, folder: str) -> Iterator[str]:
        """The names of the documents in a folder; none where listing them is not worth it."""
        del folder
        return iter(())

    # The journal, and the log of runs.

    @abstractmethod
    def read_journal(self) -> bytes:
        """All of it; b"" where there is none."""

    @abstractmethod
    def append_journal(self, data: bytes, *, at: int) -> None:
        """Write behind the first bytes, durably: all of it or, on an error, nothing.

        What lies behind these bytes was never promised: a torn line, which is cut off.
        """

    @abstractmethod
    def empty_journal(self, *, at: int) -> None:
        """Begin it anew, durably; what it has behind the first bytes is kept elsewhere."""

    @abstractmethod
    def read_runs(self) -> bytes:
        """The end of the log of runs, some years of it; b"" where there is none."""

    @abstractmethod
    def append_run(self, line: bytes) -> None:
        """Add a run to the log."""

    # Files in their places.

    @abstractmethod
    def is_intact(self, stored: StoredFile) -> bool:
        """Whether a file is in its place with its size. The bytes are `verify`'s business."""

    @abstractmethod
    def look(self, path: str) -> Found | None:
        """The file or other object at a path; None if there is nothing."""

    def size_of(self, path: str) -> int | None:
        """The size of a regular file, or None where there is none."""
        found = self.look(path)
        return found.size if found is not None and found.is_file else None

    def time_ms(self, found: Found) -> int:
        """The time of a file: its asset's updateTime, if the storage has kept it."""
        return found.mtime_ns // 1_000_000

    def vouches_for(self, stored: StoredFile) -> bool:
        """Whether the storage itself has the digest of a file's bytes, and it is the right one.

        False says nothing of the file: it must be read.
        """
        del stored
        return False

    @abstractmethod
    def set_time(self, path: str, mtime_ms: int) -> None:
        """Give a file its asset's time again, if it has lost it; where files have times."""

    @abstractmethod
    def open(self, path: str) -> BinaryIO:
        """A file to read; a link in its place is not followed, but an error."""

    @abstractmethod
    def copy_out(self, path: str, partial: Partial) -> None:
        """Give a file's bytes to a partial file, without a way over the network if there is one."""

    @abstractmethod
    def walk(self, area: Area) -> Iterator[Found]:
        """Every file in a part of the root, but for documents and what belongs to others."""

    # Files on their way into their places, a batch at a time and in this order.

    @abstractmethod
    def secure(self, placements: Sequence[Placement]) -> Callable[[Callable[[], None]], None]:
        """Begin to make complete partial files safe from a power cut.

        Returns:
            What waits until they are; it may be called in a thread of its own. What its argument
            raises, which it calls between two files, ends the waiting. A file that the disk refuses
            is not to be trusted any more: its partial file is dropped.
        """

    @abstractmethod
    def keep(self, path: str, version: str) -> str:
        """Give a file a durable second name in `history/`.

        Args:
            path: the file's.
            version: what differs between it and its successor.

        Returns:
            The second name.
        """

    @abstractmethod
    def place(self, placement: Placement) -> None:
        """Put a secured file into its place, where readers find it, and see that it is that file.

        What lies there is replaced: it was kept before.

        Raises:
            BlockedError: something at this very place is in the way.
            DiskError: a folder is a link that leads out of the root; or the file is not the one
                that was secured: somebody else is at work here.
        """

    @abstractmethod
    def settle(self, paths: Iterable[str]) -> None:
        """Make durable that files are in these places."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a name of a file that has another name, if it is there."""

    @abstractmethod
    def remove_kept(self, path: str, kept: str, *, but: Collection[str] = ()) -> None:
        """Remove a name if the other name has the very same file.

        Args:
            path: the name; it may be gone already.
            kept: the other name.
            but: names of files that stay: where the file system takes one for `path`, it is left.
        """

    # The trash.

    @abstractmethod
    def new_trash_name(self) -> str:
        """A name for what one `prune` moves."""

    @abstractmethod
    def trash(self, paths: Iterable[str], name: str, records: Iterable[bytes]) -> None:
        """Give files a durable second name in the trash, with the entries that they belonged to.

        Args:
            paths: the files.
            name: of this `prune`, which is unfinished until `finish_trash`.
            records: JSON of the entries, a line each beside the files.
        """

    @abstractmethod
    def finish_trash(self, name: str) -> None:
        """Note that the files which a `prune` moved no longer have their old names."""

    @abstractmethod
    def unfinished_trash(self) -> Set[str]:
        """The names of each `prune` that was cut off before that."""

    @abstractmethod
    def trashed(self) -> Iterator[tuple[str, Entry]]:
        """Every entry that is in the trash, with the name of its `prune`."""

    @abstractmethod
    def remove_if_trashed(self, path: str, name: str) -> None:
        """Remove a name if the very same file is in that part of the trash."""

    @abstractmethod
    def empty_trash(self, names: Iterable[str]) -> None:
        """Delete what each of these has moved to the trash, for good."""
