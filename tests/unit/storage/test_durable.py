"""Durable steps: all or nothing, nothing left behind, and refusals in words."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.errors import ExitCode
from mirror.storage.durable import Disk, disk_error

Failing = Callable[[str], Disk]


@pytest.fixture
def failing() -> Failing:
    """Makes disks that fail at a step."""

    def make(step: str) -> Disk:
        def fail(taken: str) -> None:
            if taken == step:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return Disk(fail)

    return make


@pytest.mark.parametrize("old", [None, b"", b"old"])
def test_a_file_is_replaced_whole(old: bytes | None, tmp_path: Path) -> None:
    """The new content is there, and nothing beside it."""
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    Disk().write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_new_file_has_its_mode(mode: int, tmp_path: Path) -> None:
    """The mode is the wanted one, less the umask, whatever the old file had."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o666)
    mask = os.umask(0o022)
    try:
        Disk().write_atomic(path, b"new", mode=mode)
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == mode & ~0o022


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_failed_write_leaves_the_old_file(step: str, failing: Failing, tmp_path: Path) -> None:
    """Until the last step the old content stands, and nothing temporary is left."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match=r"(?i)space"):
        failing(step).write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_stop_in_the_middle_leaves_the_old_file(step: str, tmp_path: Path) -> None:
    """What is no error, such as Ctrl-C, is cleaned up after as well."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def stop(taken: str) -> None:
        if taken == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Disk(stop).write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_of_a_file(tmp_path: Path) -> None:
    """It is refused, it stays, and nothing temporary is left."""
    path = tmp_path / "file"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match=r".") as caught:
        Disk().write_atomic(path, b"new")
    assert "folder" in disk_error(caught.value, path).what
    assert list(tmp_path.iterdir()) == [path]
    assert list(path.iterdir()) == [path / "inside"]


@pytest.mark.parametrize("left", [b"", b"what a crash left"])
def test_a_crash_s_remains_are_cleared(left: bytes, tmp_path: Path) -> None:
    """A temporary file of an earlier run is neither in the way nor left."""
    (tmp_path / ".file.tmp").write_bytes(left)
    (tmp_path / ".copy.tmp").write_bytes(left)
    Disk().write_atomic(tmp_path / "file", b"new")
    Disk().keep_copy(tmp_path / "file", tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "file"]


def test_no_link_is_written_through(tmp_path: Path) -> None:
    """A link is replaced, not followed: neither the file's own name nor the temporary one."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").symlink_to(outside)
    (folder / ".file.tmp").symlink_to(outside)
    Disk().write_atomic(folder / "file", b"new")
    assert outside.read_bytes() == b"precious"
    assert (folder / "file").read_bytes() == b"new"
    assert not (folder / "file").is_symlink()


@pytest.mark.parametrize("old", [None, b"old copy"])
def test_a_second_name(old: bytes | None, tmp_path: Path) -> None:
    """A file gets a second name, in place of what had it; its first name stays."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"bytes")
    os.utime(source, ns=(10**18, 10**18))
    if old is not None:
        target.write_bytes(old)
    Disk().keep_copy(source, target)
    assert source.read_bytes() == target.read_bytes() == b"bytes"
    assert target.stat().st_mtime_ns == 10**18
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_a_second_name_twice(tmp_path: Path) -> None:
    """Where both names are one file already, nothing changes, and nothing is left beside them."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"bytes")
    Disk().keep_copy(source, target)
    Disk().keep_copy(source, target)
    assert source.read_bytes() == target.read_bytes() == b"bytes"
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_a_second_name_outlives_a_new_first_one(tmp_path: Path) -> None:
    """Replacing the file leaves the copy as it was."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"old")
    Disk().keep_copy(source, target)
    Disk().write_atomic(source, b"new")
    assert (source.read_bytes(), target.read_bytes()) == (b"new", b"old")


@pytest.mark.parametrize("step", ["link", "rename"])
def test_a_second_name_that_fails_leaves_nothing(
    step: str, failing: Failing, tmp_path: Path
) -> None:
    """What cannot be kept leaves both names as they were, and nothing temporary."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"bytes")
    target.write_bytes(b"old copy")
    with pytest.raises(OSError, match=r"(?i)space"):
        failing(step).keep_copy(source, target)
    assert (source.read_bytes(), target.read_bytes()) == (b"bytes", b"old copy")
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_no_second_name_of_nothing(tmp_path: Path) -> None:
    """A file that is not there is an error, and the target stays."""
    (tmp_path / "b").write_bytes(b"old copy")
    with pytest.raises(FileNotFoundError):
        Disk().keep_copy(tmp_path / "a", tmp_path / "b")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old copy"]


def test_a_folder_with_its_parents(tmp_path: Path) -> None:
    """Parents are made too, each made durable in the one above; making it again is no error."""
    steps: list[str] = []
    for _ in range(2):
        Disk(steps.append).make_folder(tmp_path / "a/b/c")
        assert (tmp_path / "a/b/c").is_dir()
    assert steps == ["fsync folder"] * 3


@pytest.mark.parametrize("blocked", ["a", "a/b", "a/b/c"])
def test_a_file_in_the_way_of_a_folder(blocked: str, tmp_path: Path) -> None:
    """It is refused in words, and the file stays."""
    path = tmp_path / blocked
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"precious")
    with pytest.raises(OSError, match=r".") as caught:
        Disk().make_folder(tmp_path / "a/b/c")
    error = disk_error(caught.value, tmp_path)
    assert error.exit_code is ExitCode.DISK
    assert error.what == "a file is in the way where a folder should be"
    assert path.read_bytes() == b"precious"


def test_a_broken_link_in_the_way_of_a_folder(tmp_path: Path) -> None:
    """It is refused, and nothing is made where it leads."""
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError):
        Disk().make_folder(tmp_path / "a/b")
    assert not (tmp_path / "nowhere").exists()


def test_appending_is_all_or_nothing(failing: Failing, tmp_path: Path) -> None:
    """Bytes go behind the first ones; where that fails, these stand alone."""
    path = tmp_path / "file"
    path.write_bytes(b"first, then rubbish")
    descriptor = os.open(path, os.O_RDWR)
    try:
        for step in ("append", "fsync"):
            with pytest.raises(OSError, match=r"(?i)space"):
                failing(step).append(descriptor, b"second", path, at=5)
            assert path.read_bytes() == b"first"
        Disk().append(descriptor, b"second", path, at=5)
        assert path.read_bytes() == b"firstsecond"
        Disk().truncate(descriptor, 0, path)
        assert path.read_bytes() == b""
    finally:
        os.close(descriptor)


def test_a_name_is_taken_away_once(tmp_path: Path) -> None:
    """Taking away what is gone is no error."""
    (tmp_path / "a").write_bytes(b"")
    Disk().unlink(tmp_path / "a")
    Disk().unlink(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
        (errno.EPERM, "permission"),
        (errno.ENOTDIR, "file is in the way"),
        (errno.EISDIR, "folder is in the way"),
        (errno.EIO, "disk reports an error"),
        (errno.EMFILE, "too many open files"),
        (None, "odd"),
    ],
)
def test_the_disk_s_refusals_in_words(number: int | None, said: str, tmp_path: Path) -> None:
    """Each says what happened, where, and what to do about it; the exit code is 6."""
    error = OSError("odd") if number is None else OSError(number, os.strerror(number))
    found = disk_error(error, tmp_path)
    assert said in found.what
    assert found.where == str(tmp_path)
    assert found.hint
    assert found.exit_code is ExitCode.DISK
