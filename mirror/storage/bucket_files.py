"""The files of a mirror in a bucket: what is there, and how files come there and go.

An object is known to a run as a file from `place` on. None is overwritten unless it is the one that
was looked at. An object store deletes without a condition: right before that, the lease is known to
be held (see `lease`).
"""

import contextlib
import errno
import hashlib
import itertools
import mmap
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path

from mirror.errors import DiskError
from mirror.models import StoredFile
from mirror.storage import layout
from mirror.storage.durable import disk_errors
from mirror.storage.hashing import hash_file
from mirror.storage.interface import Area, Found, Placement
from mirror.storage.lease import Lease
from mirror.storage.media import type_of
from mirror.storage.objects import ConflictError, ObjectFacts, Objects
from mirror.storage.partial import Partial
from mirror.storage.securing import disturbed
from mirror.storage.uploading import in_parallel

_MARKER = f"{layout.PRIVATE_FOLDER}/root.json"
_CHUNK_BYTES = 1 << 20
_DIGEST = "etag"
"""Beside an object: the ETag that its bytes have where that is a digest."""
_CARRIED = frozenset((_DIGEST, "sha256", "mtime"))


class BucketFiles:
    """The objects of a mirror, as the bucket was listed, and as this run has changed them.

    Args:
        objects: the bucket's.
        lease: of the bucket.
        folder: on this machine, for bodies on their way.
    """

    def __init__(self, objects: Objects, lease: Lease, folder: Path) -> None:
        self._objects = objects
        self._lease = lease
        self._folder = folder
        self._index: dict[str, ObjectFacts] | None = None
        self._uploaded: dict[str, ObjectFacts] = {}

    # What is there.

    def list(self) -> dict[str, ObjectFacts]:
        """List the bucket, if that was not done yet: one request for a thousand objects."""
        if self._index is None:
            self._index = dict(self._objects.list())
        return self._index

    def forget(self) -> None:
        """Forget what was listed: other runs may have changed it."""
        self._index = None

    def facts(self, path: str) -> ObjectFacts | None:
        """The facts of an object; None if there is none."""
        return self.list().get(path)

    def below(self, top: str) -> Sequence[str]:
        """The paths that begin so."""
        return [path for path in self.list() if path.startswith(top)]

    def look_again(self, path: str) -> None:
        """Take in the facts of an object that was written as a document."""
        facts = self._objects.head(path)
        if facts is not None:
            self.list()[path] = facts

    def location(self, path: str) -> str:
        """An object, as messages name it."""
        return self._objects.location(path)

    def walk(self, area: Area) -> Iterator[Found]:
        """Every object in a part of the root, but for documents and what belongs to others."""
        paths = self.list()
        is_tree = area == "tree"
        top = "" if is_tree else f"{layout.PRIVATE_FOLDER}/{area}/"
        mirrors = {path.removesuffix(_MARKER) for path in paths if path.endswith(f"/{_MARKER}")}
        for path, facts in tuple(paths.items()):
            if path.startswith(top) and not (is_tree and _is_of_others(path, mirrors)):
                yield Found(path, facts.size, facts.mtime_ns, is_file=True)

    def are_same(self, one: str, other: str) -> bool:
        """Whether two objects have the same bytes."""
        first, second = self.facts(one), self.facts(other)
        if first is None or second is None or first.size != second.size:
            return False
        if first.etag == second.etag:
            return True
        hashes = {hash_file(self._objects.open(path)[0]).sha256 for path in (one, other)}
        return len(hashes) == 1

    def vouches_for(self, stored: StoredFile) -> bool:
        """Whether an object has the ETag that its checked bytes had as they were uploaded."""
        try:
            facts, beside = self._objects.described(stored.path)
        except FileNotFoundError:
            return False
        return (facts.size, facts.etag, stored.sha256) == (
            stored.size,
            beside.get(_DIGEST),
            beside.get("sha256"),
        )

    # How files come there.

    def upload(self, placements: Sequence[Placement], check_stop: Callable[[], None]) -> None:
        """Upload files to where nothing is; what is to be replaced waits for `place`.

        Raises:
            DiskError: the bucket fails, or gives back other bytes.
            OSError: the spool's disk fails.
        """
        self._lease.require()
        in_parallel(self._upload, placements, check_stop, size_of=lambda it: it.size)

    def place(self, placement: Placement) -> None:
        """Make an uploaded object known; upload it, if it replaces what was kept.

        Raises:
            DiskError, OSError: as for `upload`; or somebody else is at work here.
        """
        facts = self._uploaded.pop(placement.partial.name, None)
        if facts is None:
            facts = self._replaced(placement)
        self.list()[placement.path] = facts
        placement.partial.discard()

    def copy(self, source: str, target: str) -> bool:
        """Copy an object to where none is; False if another one is there.

        The bytes come here and go back: a copy within a store has no condition, and a run that was
        frozen would copy what another run has put there since.
        """
        stream, facts, beside = self._objects.open(source)
        chunks = iter(lambda: stream.read(_CHUNK_BYTES), b"")
        with stream, self.spooled(chunks) as (body, md5):
            attributes = {"Content-Type": _type_of(target)}
            if beside.get(_DIGEST) == md5:
                attributes |= {name: beside[name] for name in _CARRIED & beside.keys()}
            self._lease.require()
            try:
                copied = self._objects.create(target, body, attributes)
            except ConflictError:
                there = self._objects.head(target)
                if there is None or (there.size, there.etag) != (facts.size, md5):
                    return False
                copied = there
        self.list()[target] = copied
        return True

    def remove(self, path: str) -> None:
        """Remove an object of which there is another."""
        self._lease.require(at_once=True)
        self._objects.delete([path])
        self.list().pop(path, None)

    @contextlib.contextmanager
    def spooled(self, content: bytes | Iterable[bytes]) -> Iterator[tuple[bytes | mmap.mmap, str]]:
        """A body to be put, in a file if it may be large; and its MD5."""
        if isinstance(content, bytes):
            yield content, _md5(content)
            return
        with disk_errors(self._folder), tempfile.TemporaryFile(dir=self._folder) as file:
            file.writelines(content)
            file.flush()
            if file.tell() == 0:
                yield b"", _md5(b"")
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
                yield body, _md5(body)

    def _upload(self, placement: Placement) -> None:
        path, there = placement.path, None
        with _mapped(placement.partial) as body:
            if len(body) != placement.size:
                raise disturbed(placement.partial)
            md5 = _md5(body)
            try:
                facts = self._objects.create(path, body, _attributes(placement, md5))
            except ConflictError:
                facts = there = self._there(path)
        if there is not None and (there.size, there.etag) != (placement.size, md5):
            self.list()[path] = there
            return
        self._require_bytes(placement, facts, md5)
        self._uploaded[placement.partial.name] = facts

    def _replaced(self, placement: Placement) -> ObjectFacts:
        path, before = placement.path, self.facts(placement.path)
        self._lease.require()
        with _mapped(placement.partial) as body:
            md5 = _md5(body)
            attributes = _attributes(placement, md5)
            try:
                if before is None:
                    facts = self._objects.create(path, body, attributes)
                else:
                    facts = self._objects.replace(path, body, before, attributes)
            except ConflictError:
                facts = self._there(path)
                if facts.etag != md5:
                    raise disturbed(self.location(path)) from None
        self._require_bytes(placement, facts, md5)
        return facts

    def _there(self, path: str) -> ObjectFacts:
        """The facts of an object that was in the way a moment ago."""
        facts = self._objects.head(path)
        if facts is None:
            raise disturbed(self.location(path))
        return facts

    def _require_bytes(self, placement: Placement, facts: ObjectFacts, md5: str) -> None:
        """Read an object back, unless its ETag is the MD5 of its bytes and so proves them."""
        if facts.etag == md5:
            return
        found = self._objects.open(placement.path)[0]
        if hash_file(found).sha256 != placement.sha256:
            raise DiskError(
                "the bucket gives back other bytes than it was given",
                where=self.location(placement.path),
                hint="do not trust this service with a mirror",
            )


@contextlib.contextmanager
def _mapped(partial: Partial) -> Iterator[mmap.mmap]:
    """The bytes of a partial file."""
    with partial.path.open("rb") as file:
        try:
            body = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise OSError(errno.EIO, "the file is empty", str(partial.path)) from None
        with body:
            yield body


def _md5(body: bytes | mmap.mmap) -> str:
    """The MD5 of a body, hex: the ETag that most services give it."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _attributes(placement: Placement, md5: str) -> dict[str, str]:
    """The type and the hashes of an object, and its time as rclone reads it."""
    return {
        "Content-Type": _type_of(placement.path),
        "mtime": f"{placement.mtime_ms / 1000:.3f}",
        "sha256": placement.sha256,
        _DIGEST: md5,
    }


def _type_of(path: str) -> str:
    return type_of(layout.suffix_in(path)) or "application/octet-stream"


def _is_of_others(path: str, mirrors: Set[str]) -> bool:
    """Whether an object in the tree is a document, or belongs to a system or another mirror."""
    *folders, _ = steps = path.split("/")
    if steps[0] in layout.OUR_NAMES or any(map(layout.is_of_others, steps)):
        return True
    tops = itertools.accumulate(folders, lambda top, name: f"{top}/{name}")
    return any(f"{top}/" in mirrors for top in tops)
