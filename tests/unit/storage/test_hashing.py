"""Hashing a file: all of it, once, in any algorithm, and no longer than it is wanted."""

import hashlib
from pathlib import Path

import pytest

from mirror.storage.hashing import CHUNK_BYTES, hash_file
from mirror.storage.media import HEAD_BYTES


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_a_file_is_hashed_whole(size: int, tmp_path: Path) -> None:
    """Size, head and digests are the file's, however many chunks it takes."""
    body = bytes(index % 251 for index in range(size))
    (tmp_path / "file").write_bytes(body)
    seen: list[int] = []
    file = (tmp_path / "file").open("rb")
    found = hash_file(file, ("sha256", "md5"), on_chunk=seen.append)
    assert file.closed
    assert (found.size, found.head, sum(seen)) == (size, body[:HEAD_BYTES], size)
    assert found.sha256 == hashlib.sha256(body).hexdigest()
    assert found.digests["md5"] == hashlib.md5(body, usedforsecurity=False).hexdigest()


def test_a_stop_ends_it(tmp_path: Path) -> None:
    """What the callback raises comes out after one chunk, and the file is closed."""
    (tmp_path / "file").write_bytes(bytes(3 * CHUNK_BYTES))
    file = (tmp_path / "file").open("rb")

    def stop(count: int) -> None:
        assert count == CHUNK_BYTES
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hash_file(file, on_chunk=stop)
    assert file.closed
