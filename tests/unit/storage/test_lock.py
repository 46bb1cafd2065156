"""The lock of a folder: one run at a time, and who that is."""

import json
import os
from pathlib import Path

import pytest

from mirror.errors import ExitCode, LockedError
from mirror.storage.durable import Disk
from mirror.storage.lock import FolderLock


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A root's own folder."""
    private = tmp_path / ".kling-mirror"
    private.mkdir()
    return private


def a_lock(private: Path) -> FolderLock:
    """The lock, as one run has it."""
    return FolderLock(private, dest=private.parent, disk=Disk())


def test_the_second_run_learns_who_the_first_is(private: Path) -> None:
    """Exit 11 with the pid; after the first one's end the way is free."""
    with a_lock(private).held():
        assert (found := a_lock(private).holder()) is not None
        assert found.pid == os.getpid()
        with (
            pytest.raises(LockedError, match=f"pid {os.getpid()}") as caught,
            a_lock(private).held(),
        ):
            pass
        assert caught.value.exit_code is ExitCode.LOCKED
    assert a_lock(private).holder() is None
    with a_lock(private).held():
        pass


def test_a_killed_run_holds_nothing(private: Path) -> None:
    """Its note stays behind, and its pid may be another process's by now."""
    note = {"pid": os.getpid(), "since": "2025-01-01T00:00:00Z"}
    (private / "lock.json").write_text(json.dumps(note))
    (private / "lock").touch()
    assert a_lock(private).holder() is None


@pytest.mark.parametrize("note", [b"", b"\xff", b"{}", b"[1"])
def test_a_note_that_says_nothing_is_none(private: Path, note: bytes) -> None:
    """It ends nobody's look."""
    (private / "lock.json").write_bytes(note)
    assert a_lock(private).holder() is None
