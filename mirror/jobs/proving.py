"""Whether a file that we have is the one at a URL, found out without fetching it.

In this order: the length; a digest that the CDN declares, or a strong ETag that is the file's MD5,
SHA-1 or SHA-256; where there is neither, samples. These are compared byte for byte: the start, the
middle and the end of the file, and wherever it has a long run of zeros, as a download that was
broken off leaves where its bytes were to be. Samples prove less than a digest: a byte that differs
between them is not seen.
"""

import asyncio
import enum
import hashlib
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from mirror.errors import FetchError
from mirror.jobs.fetch import Fetcher
from mirror.net.probe import Sample
from mirror.stopping import Stop
from mirror.storage.media import HEAD_BYTES

_SAMPLE_BYTES = 64 * 1024
_SMALLEST_SHARE = 16
_MOST_HOLES = 4
_ETAG_ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256"}


class Proof(enum.StrEnum):
    """Why a file counts as the right one."""

    MANIFEST = "manifest"
    DIGEST = "digest"
    SAMPLES = "samples"


class Mine(Struct, frozen=True):
    """A file that we have.

    Attributes:
        sha256: hex.
        head: its first `media.HEAD_BYTES` bytes.
        holes: where it has long runs of zeros; a few of them.
    """

    path: Path
    size: int
    sha256: str
    head: bytes
    holes: tuple[int, ...]


def read(path: Path, stop: Stop) -> Mine:
    """Read a file from its start to its end.

    Raises:
        OSError: it cannot be read.
        Interrupted: stopped.
    """
    hasher, head, size = hashlib.sha256(), b"", 0
    holes = []
    nothing = bytes(_SAMPLE_BYTES)
    with path.open("rb") as file:
        while block := file.read(_SAMPLE_BYTES):
            stop.check()
            head = head or block[:HEAD_BYTES]
            if block == nothing:
                holes.append(size)
            hasher.update(block)
            size += len(block)
    step = -(-len(holes) // _MOST_HOLES) or 1
    return Mine(path, size, hasher.hexdigest(), head, tuple(holes[::step]))


class Remote:
    """The file at a URL, looked at in parts.

    Args:
        fetcher: asks for them.
        url: where it is.
        likely_size: what its length may be, to ask for no more than is needed.
    """

    def __init__(self, fetcher: Fetcher, url: str, *, likely_size: int) -> None:
        self._fetcher = fetcher
        self._url = url
        self._first: Sample | None = None
        self._first_count = _sample_bytes(likely_size)
        self._parts: dict[tuple[int, int], bytes] = {}

    async def first(self) -> Sample:
        """Its beginning, and what the headers say.

        Raises:
            FetchError: it could not be had.
        """
        if self._first is None:
            count = self._first_count
            self._first = await self._fetcher.probe(self._url, start=0, count=count)
        return self._first

    async def proof(self, mine: Mine) -> Proof | None:
        """Why ours is the same, or None where it is not.

        Raises:
            FetchError: parts could not be had.
            OSError: ours cannot be read.
        """
        first = await self.first()
        if mine.size != first.size:
            return None
        for algorithm, digest in first.digests:
            same = await asyncio.to_thread(_digest, mine, algorithm) == digest
            return Proof.DIGEST if same else None
        etag = (first.etag or "").strip('"').lower()
        algorithm = _ETAG_ALGORITHMS.get(len(etag), "")
        if algorithm and await asyncio.to_thread(_digest, mine, algorithm) == etag:
            return Proof.DIGEST
        return Proof.SAMPLES if await self._agrees(mine, first) else None

    async def _agrees(self, mine: Mine, first: Sample) -> bool:
        self._parts[0, len(first.data)] = first.data
        for start, count in ((0, len(first.data)), *_parts(mine)):
            if (start, count) not in self._parts:
                sample = await self._fetcher.probe(self._url, start=start, count=count)
                if (sample.size, sample.etag) != (first.size, first.etag):
                    raise FetchError("the file changed while it was looked at", retryable=False)
                self._parts[start, count] = sample.data
            ours = await asyncio.to_thread(_part, mine.path, start, count)
            if ours != self._parts[start, count]:
                return False
        return True


def _parts(mine: Mine) -> Iterator[tuple[int, int]]:
    """Where to look, behind the start: offsets and counts of bytes."""
    count = _sample_bytes(mine.size)
    yield (mine.size - count) // 2, count
    yield mine.size - count, count
    for hole in mine.holes:
        yield hole, count


def _sample_bytes(size: int) -> int:
    """How much of a file one sample is: of a small one a part, or it would be fetched whole."""
    return min(_SAMPLE_BYTES, size // _SMALLEST_SHARE + 1)


def _part(path: Path, start: int, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(count)


def _digest(mine: Mine, algorithm: str) -> str:
    if algorithm == "sha256":
        return mine.sha256
    with mine.path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
