"""Writes that survive a power cut: fsync of files and folders, atomic replacement."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

from mirror.errors import DiskError

_NO_FOLDER_SYNC = frozenset((errno.EINVAL, errno.ENOTSUP, errno.EBADF))
FILE_MODE = 0o644


def disk_error(error: OSError, where: Path | str) -> DiskError:
    """The operating system's refusal, in words that say what to do."""
    hints = {
        errno.ENOSPC: ("the disk is full", "free some space and run it again"),
        errno.EDQUOT: ("the disk quota is used up", "free some space and run it again"),
        errno.EROFS: ("the disk is read-only", "mount it writable, or choose another --dest"),
        errno.EACCES: ("no permission", "give this user the right to write there"),
        errno.EPERM: ("no permission", "give this user the right to write there"),
        errno.ENOTDIR: ("a file is in the way where a folder should be", "move that file away"),
        errno.EEXIST: ("a file is in the way where a folder should be", "move that file away"),
        errno.EISDIR: ("a folder is in the way where a file should be", "move that folder away"),
        errno.EIO: ("the disk reports an error", "check the disk before anything else"),
    }
    what, hint = hints.get(
        error.errno or 0, (error.strerror or str(error), "check the disk and the folder")
    )
    return DiskError(what, where=str(where), hint=hint)


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make a folder's names durable, where the system lets one."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows has no descriptors of folders
        if os.name == "nt":
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and its parents, each durable in the one above."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        if path.parent == path:
            break
        path = path.parent
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        sync_folder(folder.parent)


def write_atomic(path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
    """Replace a file's content in one step: a reader, or a crash, sees the old or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def keep_copy(source: Path, target: Path) -> None:
    """Give a file a second name, durably; by a copy where the file system has no hard links."""
    temporary = target.with_name(f".{target.name}.tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    try:
        os.link(source, temporary, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(source, temporary, follow_symlinks=False)
        sync_file(temporary)
    temporary.replace(target)
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()  # rename does nothing when both are one file
    sync_folder(target.parent)
