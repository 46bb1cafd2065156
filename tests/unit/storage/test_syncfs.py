"""One call for all files: where it is honoured, and what comes of its failure."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mirror.errors import Interrupted
from mirror.storage.durable import Disk
from mirror.storage.interface import Placement
from mirror.storage.partial import Note, Partial
from mirror.storage.securing import Securing
from mirror.storage.syncfs import is_honoured, syncfs

COUNT = 20
BODY = b"bytes"


class _Trusting(Disk):
    """A disk on which `syncfs` is taken to be honoured, as it is on ext4."""

    def can_sync_all(self, folder: int) -> bool:
        return folder >= 0


@pytest.fixture
def placements(tmp_path: Path) -> list[Placement]:
    """Complete partial files, each with a note that says so."""
    made = []
    for number in range(COUNT):
        partial = Partial(tmp_path / f"part-{number}")
        partial.path.write_bytes(BODY)
        note = Note(
            size=len(BODY),
            sha256="0" * 64,
            etag=None,
            last_modified=None,
            content_type=None,
            url="http://k/1",
            complete=True,
        )
        partial.save(note)
        made.append(Placement(partial, f"video/{number}.mp4", 1_000, len(BODY), "0" * 64))
    return made


@pytest.fixture
def steps() -> list[str]:
    """The durable steps that were taken."""
    return []


def _go_on() -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    """An open folder."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has syncfs")
def test_it_is_not_trusted_where_nothing_is_known_of_it() -> None:
    """`/proc` is no file system that keeps anything."""
    descriptor = os.open("/proc", os.O_RDONLY)
    try:
        assert not is_honoured(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has syncfs")
def test_an_error_is_raised(folder: int) -> None:
    """As `fsync` raises it."""
    syncfs(folder)
    with pytest.raises(OSError, match="descriptor") as caught:
        syncfs(10_000)
    assert caught.value.errno == errno.EBADF


def test_a_large_batch_takes_one_step(placements: list[Placement], steps: list[str]) -> None:
    """A small one takes one for each file."""
    securing = Securing(_Trusting(steps.append))
    securing.begin(placements)(_go_on)
    assert steps == ["syncfs"]
    steps.clear()
    securing.begin(placements[:3])(_go_on)
    assert steps == ["fsync"] * 3


def test_each_file_is_synced_where_it_is_not_trusted(
    placements: list[Placement], steps: list[str]
) -> None:
    """As on a network share."""

    class Untrusting(Disk):
        def can_sync_all(self, folder: int) -> bool:
            return folder < 0

    Securing(Untrusting(steps.append)).begin(placements)(_go_on)
    assert steps == ["fsync"] * COUNT


def _failing(_: str) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_after_a_failure_no_file_of_the_batch_is_trusted(placements: list[Placement]) -> None:
    """Nobody knows whose bytes the disk refused: all are fetched again."""
    with pytest.raises(OSError, match="error"):
        Securing(_Trusting(_failing)).begin(placements)(_go_on)
    for placement in placements:
        assert not placement.partial.path.exists()
        assert placement.partial.read_note() is None


def _out_of_memory(_: str) -> None:
    raise MemoryError


def test_a_failure_of_any_kind_is_a_failure(placements: list[Placement]) -> None:
    """Not only the disk can fail in the thread of the call: nothing was made durable."""
    with pytest.raises(MemoryError):
        Securing(_Trusting(_out_of_memory)).begin(placements)(_go_on)


def _stop() -> None:
    raise Interrupted(15)


def test_a_stop_does_not_wait_for_the_data_of_others(
    placements: list[Placement], wait_in_step: Callable[[str], None]
) -> None:
    """The call goes on in its thread; the files stay as they are."""
    with pytest.raises(Interrupted):
        Securing(_Trusting(wait_in_step)).begin(placements)(_stop)
    assert all(placement.partial.path.exists() for placement in placements)


@pytest.fixture
def wait_in_step() -> Iterator[Callable[[str], None]]:
    """A step that does not end before the test does."""
    reading, writing = os.pipe()

    def wait(_: str) -> None:
        os.read(reading, 1)

    yield wait
    os.write(writing, b"x")
    os.close(writing)
