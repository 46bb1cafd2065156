"""A bucket of an object store as the root: the second implementation of `interface.Storage`.

The keys are a folder's paths, so that a bucket copied down is a mirror, and a mirror copied up goes
on as a bucket. A conditional PUT takes the place of fsync, rename and the folder's fsync. Files
come from the local spool, and are uploaded where a folder's would be made durable.
"""

import contextlib
import functools
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import BinaryIO

import msgspec

from mirror import config
from mirror.models import NOT_JSON, Entry, StoredFile
from mirror.places import BucketUrl
from mirror.storage import layout
from mirror.storage.bucket_files import BucketFiles
from mirror.storage.bucket_journal import BucketJournal
from mirror.storage.bucket_trash import BucketTrash
from mirror.storage.durable import Disk, disk_errors
from mirror.storage.interface import Area, Found, Holder, Marker, Placement, Proof, Storage
from mirror.storage.lease import Lease
from mirror.storage.lock import FolderLock
from mirror.storage.objects import ConflictError, Objects
from mirror.storage.partial import Partial
from mirror.storage.probing import probe
from mirror.storage.securing import disturbed

_MARKER = f"{layout.PRIVATE_FOLDER}/root.json"
_RUNS = f"{layout.PRIVATE_FOLDER}/runs.jsonl"
_RUNS_BYTES = 1 << 20
_TRIES = 3


class Bucket(Storage):
    """A bucket, or what begins with a prefix in it, as a mirror's root.

    Args:
        url: where it is.
        disk: takes the durable steps.

    Raises:
        UsageError: it cannot be used from here.
    """

    def __init__(self, url: BucketUrl, *, disk: Disk | None = None) -> None:
        self._url = url
        self._disk = disk or Disk()
        self._objects = Objects(url, self._disk)
        self._local = config.state_folder() / "spools" / layout.short_hash(str(url))
        self._lock = FolderLock(self._local, dest=url, disk=self._disk)
        self._lease = Lease(self._objects, self._spool_name())
        self._files = BucketFiles(self._objects, self._lease, self._local)
        self._journal = BucketJournal(self._objects, self._lease)
        self._trash = BucketTrash(self._files, read=self.read_document, write=self.write_document)
        self._marker: Marker | None = None
        self._proof: Proof | None = None

    # The root itself.

    @property
    def where(self) -> str:
        """The root, as messages name it."""
        return str(self._url)

    def location(self, path: str) -> str:
        """A file or document, as messages name it."""
        return self._objects.location(path)

    @property
    def spool_folder(self) -> Path:
        """The folder on this machine where partial files are."""
        return self._local / "partial"

    @property
    def is_prepared(self) -> bool:
        """Whether the bucket is a mirror's root."""
        if self._marker is None:
            self._marker = self._read_marker()
        if self._marker is None:
            self._objects.require_bucket()
        return self._marker is not None

    def prepare(self, begin: Callable[[], None]) -> str:
        """Make the bucket a mirror's root, or see that it is one."""
        if not self.is_prepared:
            with self.lock():
                self._begin(begin)
        with disk_errors(self._local):
            self._disk.make_folder(self.spool_folder)
        return self._marker.id if self._marker is not None else ""

    def _read_marker(self) -> Marker | None:
        """The document that makes it a root; None if there is none."""
        try:
            return msgspec.json.decode(self._objects.get(_MARKER)[0], type=Marker)
        except FileNotFoundError:
            return None
        except NOT_JSON:
            return Marker("", 0, "", "")

    def _begin(self, begin: Callable[[], None]) -> None:
        """Make the root, unless another run was faster; to be called with the lock."""
        if self.is_prepared:
            return
        begin()
        marker = msgspec.structs.replace(Marker.new(), proof=self._proof)
        with contextlib.suppress(ConflictError):  # an answer that was lost
            self._objects.create(_MARKER, msgspec.json.encode(marker))
        self._marker = self._read_marker()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lease of the bucket, and the lock of the local spool."""
        with disk_errors(self._local):
            self._disk.make_folder(self.spool_folder)
        with self._lock.held():
            known = self._known_proof()
            if known is None:
                self._objects.require_bucket()
            self._proof = known or probe(self._objects)
            self._lease.take()
            try:
                if known is None:
                    self._note_proof()
                self._files.forget()
                self._files.list()
                yield
            finally:
                self._lease.release()

    def _known_proof(self) -> Proof | None:
        """What is known of this very service; of a copy from another one, nothing is."""
        proof = self._marker.proof if self._marker is not None else None
        return proof if proof is not None and proof.service == self._objects.service else None

    def _note_proof(self) -> None:
        """Keep what was found out of the service, where there is a root already."""
        if self._marker is not None and self._marker.version:
            self._marker = msgspec.structs.replace(self._marker, proof=self._proof)
            self.write_document(_MARKER, msgspec.json.encode(self._marker))

    def holder(self) -> Holder | None:
        """The run that holds the lease now; not one of this machine that was killed."""
        head = self._lease.read()
        if head.spool == self._lease.spool and self._lock.holder() is None:
            return None
        return Holder(head.pid, head.since) if head.is_held else None

    def close(self) -> None:
        """Close nothing: no connection is kept."""

    # The documents.

    def read_document(self, name: str) -> bytes:
        """The whole content of a document."""
        return self._objects.get(name)[0]

    def document_version(self, name: str) -> object:
        """The ETag of a document; None where there is none."""
        facts = self._objects.head(name)
        return facts.etag if facts is not None else None

    def write_document(self, name: str, content: bytes | Iterable[bytes]) -> None:
        """Replace a document in one step, if it still is what it was a moment ago."""
        with self._files.spooled(content) as (body, md5):
            for _ in range(_TRIES):
                before = self._objects.head(name)
                if self._lease.is_taken:  # another machine's clock may be ahead: only asking helps
                    self._lease.require(at_once=True)
                try:
                    if before is None:
                        self._objects.create(name, body)
                    else:
                        self._objects.replace(name, body, before)
                except ConflictError:
                    after = self._objects.head(name)
                    if after is not None and after.etag == md5:
                        return  # an answer was lost
                    if self._lease.is_taken:
                        self._lease.require(at_once=True)
                else:
                    return
        raise disturbed(self.location(name))

    def copy_document(self, name: str, copy: str) -> None:
        """Keep a document under a second name as well."""
        self._lease.require()
        self._objects.copy(name, copy)

    # The journal, and the log of runs.

    def read_journal(self) -> bytes:
        """The segments that `head.json` names, in their order."""
        return self._journal.read()

    def append_journal(self, data: bytes, *, at: int) -> None:
        """Put a segment, then name it in `head.json`: from then on it counts."""
        self._journal.append(data, at=at)

    def empty_journal(self, *, at: int) -> None:
        """Name no segment any more, then delete those that were named."""
        del at
        self._journal.empty()

    def read_runs(self) -> bytes:
        """The end of the log of runs."""
        try:
            return self._objects.get(_RUNS)[0]
        except FileNotFoundError:
            return b""

    def append_run(self, line: bytes) -> None:
        """Add a run to the log, whose beginning is dropped in the end."""
        log = self.read_runs()
        if log and not log.endswith(b"\n"):
            log += b"\n"
        if len(log) > _RUNS_BYTES:
            log = log[-_RUNS_BYTES:].partition(b"\n")[2]
        self.write_document(_RUNS, log + line + b"\n")

    # Files in their places.

    def is_intact(self, stored: StoredFile) -> bool:
        """Whether an object is in its place with its size."""
        facts = self._files.facts(stored.path)
        return facts is not None and facts.size == stored.size

    def look(self, path: str) -> Found | None:
        """The object at a path."""
        facts = self._files.facts(path)
        return None if facts is None else Found(path, facts.size, facts.mtime_ns, is_file=True)

    def time_ms(self, found: Found) -> int:
        """The time that was put beside an object; else that of its upload."""
        text = self._objects.attributes(found.path).get("mtime", "")
        try:
            return round(float(text) * 1000)
        except ValueError:
            return super().time_ms(found)

    def vouches_for(self, stored: StoredFile) -> bool:
        """Whether the ETag is the digest of the bytes that were uploaded: nothing is downloaded."""
        proof = self._known_proof()
        return proof is not None and proof.has_digests and self._files.vouches_for(stored)

    def set_time(self, path: str, mtime_ms: int) -> None:
        """Do nothing: the time of an object's upload stays."""

    def open(self, path: str) -> BinaryIO:
        """An object to read."""
        try:
            return self._objects.open(path)[0]
        except FileNotFoundError:
            self._objects.require_bucket()  # else all would be missing
            raise

    def copy_out(self, path: str, partial: Partial) -> None:
        """Download an object to a partial file."""
        partial.take(self.open(path))

    def walk(self, area: Area) -> Iterator[Found]:
        """Every object in a part of the root, but for documents and what belongs to others."""
        return self._files.walk(area)

    # Files on their way into their places.

    def secure(self, placements: Sequence[Placement]) -> Callable[[Callable[[], None]], None]:
        """Upload files to where nothing is; what is to be replaced waits for `place`."""
        return functools.partial(self._files.upload, placements)

    def keep(self, path: str, version: str) -> str:
        """Give an object a second name in `history/`."""
        for count in itertools.count(1):
            tail = version if count == 1 else f"{version}-{count}"
            kept = layout.history_path(path, tail)
            if self._files.copy(path, kept):
                return kept
        raise AssertionError

    def place(self, placement: Placement) -> None:
        """Make an uploaded object known; upload it, if it replaces what was kept."""
        self._files.place(placement)

    def settle(self, paths: Iterable[str]) -> None:
        """Do nothing: an object that was put is durable."""

    def remove(self, path: str) -> None:
        """Remove an object of which there is another."""
        self._files.remove(path)

    def remove_kept(self, path: str, kept: str, *, but: Collection[str] = ()) -> None:
        """Remove an object if the other one has the very same bytes."""
        if path not in but and self._files.are_same(path, kept):
            self._files.remove(path)

    # The trash.

    def new_trash_name(self) -> str:
        """A name for what one `prune` moves."""
        return self._trash.new_name()

    def trash(self, paths: Iterable[str], name: str, records: Iterable[bytes]) -> None:
        """Give objects a second name in the trash, with the entries that they belonged to."""
        self._trash.add(paths, name, records)

    def finish_trash(self, name: str) -> None:
        """Give the records their final name."""
        self._trash.finish(name)

    def unfinished_trash(self) -> Set[str]:
        """The names of each `prune` whose records have not their final name."""
        return self._trash.unfinished()

    def trashed(self) -> Iterator[tuple[str, Entry]]:
        """Every entry that is in the trash, with the name of its `prune`."""
        return self._trash.entries()

    def remove_if_trashed(self, path: str, name: str) -> None:
        """Remove an object if the very same bytes are in that part of the trash."""
        self.remove_kept(path, layout.trash_path(path, name))

    def empty_trash(self, names: Iterable[str]) -> None:
        """Delete parts of the trash for good."""
        self._trash.delete(names)

    def _spool_name(self) -> str:
        """The name of this machine's spool, made once."""
        path = self._local / "name"
        with contextlib.suppress(OSError):
            return path.read_text("utf-8")
        import uuid  # noqa: PLC0415 - once

        name = uuid.uuid4().hex
        with contextlib.suppress(OSError):  # `lock` will report it
            self._disk.make_folder(self._local)
            self._disk.write_atomic(path, name.encode())
        return name
