"""Writes that survive a power cut: fsync of files and folders, atomic replacement."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from mirror.errors import DiskError

StrPath = str | os.PathLike[str]

_NO_FOLDER_SYNC = frozenset((errno.EINVAL, errno.ENOTSUP, errno.EBADF))
FILE_MODE = 0o644
BINARY = getattr(os, "O_BINARY", 0)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_BUFFER_BYTES = 1 << 20
_RANGE_BYTES = 1 << 30


def disk_error(error: OSError, where: object) -> DiskError:
    """An error for the operating system's refusal, which says what to do."""
    hints = {
        errno.ENOSPC: ("the disk is full", "free some space and run it again"),
        errno.EDQUOT: ("the disk quota is used up", "free some space and run it again"),
        errno.EROFS: ("the disk is read-only", "mount it writable, or choose another --dest"),
        errno.EACCES: ("no permission", "give this user the right to write there"),
        errno.EPERM: ("no permission", "give this user the right to write there"),
        errno.ENOTDIR: ("a file is in the way where a folder should be", "move that file away"),
        errno.EEXIST: (
            "the file system does not replace one file by another",
            "mirror into a folder on another file system",
        ),
        errno.ENXIO: ("something else is in the place of a file", "move it away"),
        errno.ELOOP: ("a link is in the place of a file of the mirror", "remove that link"),
        errno.EISDIR: ("a folder is in the way where a file should be", "move that folder away"),
        errno.EIO: ("the disk reports an error", "check the disk before anything else"),
        errno.ESTALE: (
            "the disk has lost track of a file",
            "mount the disk again, and run it again",
        ),
        errno.EMFILE: ("too many open files", "allow more with `ulimit -n`, or lower --jobs"),
        errno.ENFILE: ("too many open files on this machine", "run it again when fewer are open"),
    }
    what, hint = hints.get(
        error.errno or 0, (error.strerror or str(error), "check the disk and the folder")
    )
    step = "".join(f" ({note} failed)" for note in getattr(error, "__notes__", ()))
    return DiskError(f"{what}{step}", where=str(where), hint=hint)


def free_bytes(folder: Path) -> int | None:
    """Bytes that are free on a folder's disk; None where the file system does not say.

    Raises:
        OSError: the disk fails.
    """
    # A run that was cut off in its first moment left a root without a spool.
    usage = shutil.disk_usage(folder if folder.is_dir() else folder.parent)
    return usage.free if usage.total else None


@contextlib.contextmanager
def disk_errors(where: object) -> Iterator[None]:
    """Translate the operating system's refusals into our words.

    Raises:
        DiskError: in place of an OSError that names no better place than `where`.
    """
    try:
        yield
    except OSError as error:
        raise disk_error(error, error.filename or where) from None


def _no_step(_: str) -> None:
    """Do nothing: the default for `on_step`."""


class Disk:
    """Every durable step that this program takes, in one place.

    Args:
        on_step: called with each step's name right before the step (`fsync`, `rename`, `link`,
            `fsync folder`, `syncfs`, `write`, `append`, `truncate`, `unlink`). A crash test stops
            the process there.
    """

    def __init__(self, on_step: Callable[[str], None] = _no_step) -> None:
        self._step = on_step

    @contextlib.contextmanager
    def taking(self, step: str, where: StrPath | None = None) -> Iterator[None]:
        """Take a step: its error names the step, and the file if it named none."""
        try:
            self._step(step)
            yield
        except OSError as error:
            error.add_note(step)
            if where is not None:
                error.filename, error.filename2 = os.fspath(where), None
            raise

    def sync_file(self, path: Path) -> None:
        """Make a file's bytes durable."""
        descriptor = os.open(path, os.O_RDWR)
        try:
            self.sync(descriptor, path)
        finally:
            os.close(descriptor)

    def sync(self, descriptor: int, where: StrPath) -> None:
        """Make an open file's bytes durable."""
        with self.taking("fsync", where):
            os.fsync(descriptor)

    def can_sync_all(self, folder: int) -> bool:
        """Whether `sync_all` makes every file below an open folder durable; see `syncfs`."""
        from mirror.storage.syncfs import is_honoured  # noqa: PLC0415 - it loads ctypes

        return is_honoured(folder)

    def sync_all(self, folder: int, where: StrPath) -> None:
        """Make durable whatever was written to an open folder's file system.

        The system reports the write errors since the folder was opened.
        """
        from mirror.storage.syncfs import syncfs  # noqa: PLC0415 - as above

        with self.taking("syncfs", where):
            syncfs(folder)

    def sync_folder(self, path: Path) -> None:
        """Make a folder's names durable, where the system lets one."""
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except PermissionError:  # Windows has no descriptors of folders
            if os.name == "nt":
                return
            raise
        try:
            with self.taking("fsync folder", path):
                os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(descriptor)

    def make_folder(self, path: Path) -> None:
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
            self.sync_folder(folder.parent)

    def rename(self, source: StrPath, target: StrPath) -> None:
        """Give a file another name, in place of what has it. Durable with its folder."""
        with self.taking("rename", target):  # the system names the source first
            os.replace(source, target)  # noqa: PTH105 - of texts: for every file

    def move(self, source: StrPath, target: StrPath) -> None:
        """Rename a durable file, or copy it where the target is on another file system.

        A folder of the root may be a mount of its own, or a union of disks such as mergerfs.
        """
        try:
            self.rename(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self.keep_copy(Path(source), Path(target))
            self.unlink(Path(source))

    def set_time(self, path: StrPath, mtime_ns: int) -> None:
        """Give a file its time, where the file system keeps any: a time is worth no failure."""
        with contextlib.suppress(OSError):
            os.utime(path, ns=(mtime_ns, mtime_ns))

    def unlink(self, path: Path) -> None:
        """Remove a name, if it is there."""
        with self.taking("unlink", path):
            path.unlink(missing_ok=True)

    def write_atomic(
        self, path: Path, data: bytes | Iterable[bytes], *, mode: int = FILE_MODE
    ) -> None:
        """Replace a file's content in one step: a reader, or a crash, sees the old or the new."""
        temporary = _temporary(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY
        try:
            with os.fdopen(os.open(temporary, flags, mode), "wb", _BUFFER_BYTES) as file:
                with self.taking("write", path):
                    file.writelines([data] if isinstance(data, bytes) else data)
                    file.flush()
                self.sync(file.fileno(), path)
            self.rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        self.sync_folder(path.parent)

    def keep_copy(self, source: Path, target: Path) -> None:
        """Give a file a second name, durably; by a copy where there are no hard links."""
        temporary = _temporary(target)
        try:
            with self.taking("link", target):
                is_link = give_name(source, temporary)
            if not is_link:
                self.sync_file(temporary)
            self.rename(temporary, target)
        finally:  # also because rename does nothing when both are one file
            with contextlib.suppress(OSError):
                temporary.unlink()
        self.sync_folder(target.parent)

    def append(
        self, descriptor: int, data: bytes, where: StrPath, *, at: int, durably: bool = True
    ) -> None:
        """Write behind the first bytes of a file: all of it or, on an error, nothing."""
        os.lseek(descriptor, at, os.SEEK_SET)
        view = memoryview(data)
        try:
            while view:
                with self.taking("append", where):
                    view = view[os.write(descriptor, view) :]
            if durably:
                self.sync(descriptor, where)
        except OSError:
            os.ftruncate(descriptor, at)
            raise

    def truncate(self, descriptor: int, size: int, where: StrPath, *, durably: bool = True) -> None:
        """Cut a file off."""
        with self.taking("truncate", where):
            os.ftruncate(descriptor, size)
        if durably:
            self.sync(descriptor, where)


def give_name(source: StrPath, target: StrPath) -> bool:
    """Give a file's bytes a second name that is free: by a hard link, or else by a copy.

    Returns:
        Whether it is a link, and not a copy that is yet to be made durable.

    Raises:
        OSError: the disk fails.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copyfile(source, target, follow_symlinks=False)
        with contextlib.suppress(OSError):  # a time or a mode is worth no failure
            shutil.copystat(source, target, follow_symlinks=False)
        return False
    return True


def copy_bytes(source: int, target: int) -> None:
    """Copy all of an open file into another; blocks are shared where the file system can do that.

    Raises:
        OSError: the disk fails.
    """
    if hasattr(os, "copy_file_range"):
        with contextlib.suppress(OSError):  # not between these two file systems
            while os.copy_file_range(source, target, _RANGE_BYTES):
                pass
            return
    os.lseek(source, 0, os.SEEK_SET)
    os.lseek(target, 0, os.SEEK_SET)
    os.ftruncate(target, 0)
    while chunk := os.read(source, _BUFFER_BYTES):
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]


def open_file(path: StrPath) -> BinaryIO:
    """Open one of our files to read it; a pipe in its place is an error, and not waited for.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | BINARY | NO_WAIT)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), os.fspath(path))
    return os.fdopen(descriptor, "rb")


def read_file(path: StrPath) -> bytes:
    """The content of one of our files.

    Raises:
        OSError: as for `open_file`, or the disk fails.
    """
    with open_file(path) as file:
        return file.read()


def append_to(path: Path) -> BinaryIO:
    """Open one of our files for appending, or create it; a link in its place is not followed.

    Raises:
        OSError: it cannot be opened.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | NO_FOLLOW | NO_WAIT
    return os.fdopen(os.open(path, flags | BINARY, FILE_MODE), "ab")


def have_same_bytes(one: Path, other: Path) -> bool:
    """Whether two files are one, or have the same content; an unreadable file is never the same.

    Raises:
        OSError: one of them is not there, or may not be read.
    """
    if one.stat().st_size != other.stat().st_size:
        return False
    if one.samefile(other):
        return True
    try:
        with one.open("rb") as left, other.open("rb") as right:
            while chunk := left.read(_BUFFER_BYTES):
                if chunk != right.read(_BUFFER_BYTES):
                    return False
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return False
    return True


def begin_writing(descriptor: int) -> None:
    """Let the system start to write a file's bytes, and not wait for it.

    On Linux that is what this advice does (mm/fadvise.c); elsewhere it may do nothing.
    """
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _temporary(path: Path) -> Path:
    """A name beside a file, for what is to take its place; what a crash left there is removed."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    return temporary
