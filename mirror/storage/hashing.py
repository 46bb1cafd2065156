"""The one place where files are hashed."""

from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

from msgspec import Struct

from mirror.storage.media import HEAD_BYTES

CHUNK_BYTES = 1 << 20


class Hashed(Struct, frozen=True):
    """What one reading of a file from its start to its end has found.

    Attributes:
        size: bytes.
        head: the first `media.HEAD_BYTES` bytes.
        digests: hex, by hashlib's name of the algorithm.
    """

    size: int
    head: bytes
    digests: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """Hex."""
        return self.digests["sha256"]


def hash_file(
    file: BinaryIO,
    algorithms: Iterable[str] = ("sha256",),
    *,
    on_chunk: Callable[[int], None] | None = None,
) -> Hashed:
    """Read a file to its end, hash it, and close it.

    Args:
        file: open for reading.
        algorithms: hashlib's names.
        on_chunk: called with the size of each chunk; what it raises ends the reading, so that a
            stop need not wait for a large file.

    Raises:
        OSError: it cannot be read.
    """
    import hashlib  # noqa: PLC0415 - it loads OpenSSL, and commands that only read hash nothing

    hashers = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    size, head = 0, b""
    with file:
        while chunk := file.read(CHUNK_BYTES):
            if on_chunk is not None:
                on_chunk(len(chunk))
            head = head or chunk[:HEAD_BYTES]
            size += len(chunk)
            for hasher in hashers.values():
                hasher.update(chunk)
    return Hashed(size, head, {name: hasher.hexdigest() for name, hasher in hashers.items()})
