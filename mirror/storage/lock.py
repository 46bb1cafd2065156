"""The lock of a folder: one run at a time, and which one that is."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mirror.clock import now_iso
from mirror.errors import LockedError
from mirror.models import NOT_JSON
from mirror.places import Place
from mirror.storage.durable import Disk, append_to, disk_error, read_file
from mirror.storage.interface import Holder
from mirror.storage.layout import short_hash

_NO_LOCKS = frozenset((errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP))
_LOOKED_AT_S = 0.2
"""A new run waits this long for the lock: `status` may be looking at it."""


class FolderLock:
    """The lock of a mirror's root.

    Args:
        private: the root's own folder.
        dest: the root, as messages name it.
        disk: takes the durable steps.
    """

    def __init__(self, private: Path, *, dest: Place, disk: Disk) -> None:
        self._path = private / "lock"
        self._note = private / "lock.json"
        self._dest = dest
        self._disk = disk

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            LockedError: another run holds it.
            DiskError: the file system cannot lock, or not be written.
        """
        import filelock  # noqa: PLC0415 - commands that only read start without it

        try:
            append_to(self._path).close()  # with our mode, if it is new
            path = self._place()
            lock = filelock.FileLock(path, timeout=_LOOKED_AT_S, thread_local=False)
            lock.acquire()
        except filelock.Timeout:
            raise LockedError(
                f"another run is at work{self._named_holder()}",
                where=str(self._dest),
                hint="wait until it is done",
            ) from None
        except OSError as error:
            raise disk_error(error, self._path) from None
        try:
            with contextlib.suppress(OSError):  # a full disk must not hinder a run that reads
                holder = msgspec.json.encode(Holder(os.getpid(), now_iso()))
                self._disk.write_atomic(self._note, holder)
            yield
        finally:
            with contextlib.suppress(OSError):
                self._note.unlink()
            lock.release()

    def holder(self) -> Holder | None:
        """The run that is at work now; None also if it was killed.

        The lock alone knows that: the pid of a killed run may be another process's by now. Nothing
        is locked where a run is noted, but in the moment in which a killed one is found out.
        """
        holder = self._noted_holder()
        if holder is None:
            return None
        try:
            is_locked = _is_locked(self._place())
        except FileNotFoundError:
            return None
        except OSError:  # nobody can say
            return holder
        return holder if is_locked else None

    def _place(self) -> Path:
        """The file that is locked: in the root, or on this machine where the root has no locks.

        A share that cannot lock still has this machine's runs kept apart.

        Raises:
            OSError: it cannot be opened.
        """
        try:
            _is_locked(self._path)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            import tempfile  # noqa: PLC0415 - file systems without locks are rare

            name = f"kling-mirror-{short_hash(str(self._dest.resolve()))}.lock"
            return Path(tempfile.gettempdir(), name)
        return self._path

    def _noted_holder(self) -> Holder | None:
        try:
            return msgspec.json.decode(read_file(self._note), type=Holder)
        except (OSError, *NOT_JSON):
            return None

    def _named_holder(self) -> str:
        holder = self._noted_holder()
        return f": pid {holder.pid}, since {holder.since}" if holder is not None else ""


def _is_locked(path: Path) -> bool:
    """Whether a process has locked a file. Without `fcntl`, as on Windows, nobody knows: True.

    Raises:
        OSError: the file is not there, or its file system has no locks.
    """
    try:
        import fcntl  # noqa: PLC0415 - Windows has none
    except ImportError:
        return True
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
