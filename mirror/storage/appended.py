"""Files that are appended to, each time whole or not at all."""

import errno
import os
from pathlib import Path

from mirror.clock import now_iso
from mirror.storage.durable import BINARY, FILE_MODE, NO_FOLLOW, Disk, read_file


class AppendedFile:
    """A file that only grows and is emptied now and then, such as a journal.

    Args:
        path: the file; it need not exist yet.
        disk: takes the durable steps.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._descriptor = -1

    def read(self) -> bytes:
        """All of it; b"" where there is none.

        Raises:
            OSError: it cannot be read.
        """
        try:
            return read_file(self._path)
        except FileNotFoundError:
            return b""

    def append(self, data: bytes, *, at: int, durably: bool = True) -> None:
        """Write behind the first bytes: all of it or, on an error, nothing.

        Raises:
            OSError: the disk fails.
        """
        self._open(at)
        self._disk.append(self._descriptor, data, self._path, at=at, durably=durably)

    def sync(self) -> None:
        """Make durable what was appended.

        Raises:
            OSError: the disk fails.
        """
        if self._descriptor >= 0:
            self._disk.sync(self._descriptor, self._path)

    def empty(self, *, at: int, durably: bool = True) -> None:
        """Cut it off at its beginning; what it has behind the first bytes is kept elsewhere.

        Raises:
            OSError: the disk fails.
        """
        self._open(at)
        self._disk.truncate(self._descriptor, 0, self._path, durably=durably)

    def replace(self, data: bytes) -> None:
        """Have other content in it, in one step and durably.

        Raises:
            OSError: the disk fails.
        """
        self.close()
        self._disk.write_atomic(self._path, data)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self, size: int) -> None:
        if self._descriptor >= 0:
            return
        flags = os.O_RDWR | os.O_CREAT | BINARY | NO_FOLLOW
        if size == 0:
            self._set_aside()
        is_new = not self._path.exists()
        self._descriptor = os.open(self._path, flags, FILE_MODE)
        if is_new:
            self._disk.sync_folder(self._path.parent)
        self._keep_tail(size)
        os.ftruncate(self._descriptor, size)

    def _set_aside(self) -> None:
        """Give another name to a file on a bad sector: nothing can be read of it, or relied on."""
        try:
            self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._disk.rename(self._path, self._damaged_name())

    def _damaged_name(self) -> Path:
        return self._path.with_name(f"{self._path.name}.damaged-{now_iso().replace(':', '')}")

    def _keep_tail(self, size: int) -> None:
        """Save the bytes to be cut off: nothing relies on them, but nothing may be lost unseen."""
        with self._path.open("rb") as file:
            file.seek(size)
            tail = file.read()
        if b"\n" in tail:
            self._disk.write_atomic(self._damaged_name(), tail)
