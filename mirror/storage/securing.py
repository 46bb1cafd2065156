"""Complete partial files of a batch: made durable, and known again in their places."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from mirror.errors import DiskError
from mirror.storage import layout
from mirror.storage.durable import BINARY, NO_FOLLOW, Disk, StrPath, begin_writing
from mirror.storage.interface import Placement
from mirror.storage.partial import Partial

_WORTH_SYNCFS = 16
"""From so many files on, one `syncfs` costs less than an fsync for each."""
_MOST_OPEN = 96
"""Files open to be synced: macOS lets a process have 256, and 64 transfers have two each."""
_LOOK_S = 0.05


class Securing:
    """Makes partial files durable, and remembers which files those were.

    Args:
        disk: takes the durable steps.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._secured: dict[str, tuple[int, int, int, int]] = {}
        self._folder = -1
        self._can_sync_all = False

    def watch(self, folder: Path) -> None:
        """Open the folder of partial files before anything is written there.

        By that, `syncfs` reports each write error to us, even one that another program has seen.

        Raises:
            OSError: it cannot be opened.
        """
        if self._folder < 0 and hasattr(os, "O_DIRECTORY"):  # Windows opens no folders
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            self._can_sync_all = self._disk.can_sync_all(self._folder)

    def close(self) -> None:
        """Close the folder."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder, self._can_sync_all = -1, False

    def begin(self, placements: Sequence[Placement]) -> Callable[[Callable[[], None]], None]:
        """Give partial files their final times, and remember what they are.

        Returns:
            What makes them durable, as `Storage.secure` says.

        Raises:
            OSError: the disk fails.
            DiskError: somebody else changed a file.
        """
        for placement in placements:
            path = os.fspath(placement.partial)
            self._disk.set_time(path, layout.mtime_ns(placement.mtime_ms))
            self._secured[path] = found = _identity(os.lstat(path))
            if found[2] != placement.size:
                raise disturbed(path)

        def wait(check_stop: Callable[[], None]) -> None:
            if self._is_for_syncfs(placements):
                self._sync_at_once(placements, check_stop)
                return
            for start in range(0, len(placements), _MOST_OPEN):
                self._sync_each(placements[start : start + _MOST_OPEN], check_stop)

        return wait

    def is_the_file(self, found: os.stat_result, partial: Partial) -> bool:
        """Whether what was found in a place is the file that was secured; asked once for each."""
        return _identity(found) == self._secured.pop(os.fspath(partial), None)

    def _is_for_syncfs(self, placements: Sequence[Placement]) -> bool:
        if len(placements) < _WORTH_SYNCFS:
            return False
        self.watch(placements[0].partial.path.parent)
        return self._can_sync_all

    def _sync_at_once(
        self, placements: Sequence[Placement], check_stop: Callable[[], None]
    ) -> None:
        """Make all files durable by one call, in a thread that a stop does not wait for.

        The call writes what other programs have written, too, and may take long.
        """
        errors: list[BaseException] = []

        def sync() -> None:
            try:
                self._disk.sync_all(self._folder, placements[0].partial.path.parent)
            except BaseException as error:  # noqa: BLE001 - raised below: no failure is a success
                errors.append(error)

        thread = threading.Thread(target=sync, name="syncfs", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_LOOK_S)
            if thread.is_alive():
                check_stop()
        if errors:
            for placement in placements:
                placement.partial.distrust()
            raise errors[0]

    def _sync_each(self, placements: Sequence[Placement], check_stop: Callable[[], None]) -> None:
        """Make the bytes of many files durable, one after the other.

        The system begins to write all of them before we wait for the first: their blocks
        then share one commit of the file system's journal, and take half the time.
        """
        opened: list[int] = []
        try:
            for placement in placements:
                descriptor = os.open(placement.partial, os.O_RDWR | BINARY | NO_FOLLOW)
                opened.append(descriptor)
                begin_writing(descriptor)
            for placement, descriptor in zip(placements, opened, strict=True):
                check_stop()
                try:
                    self._disk.sync(descriptor, placement.partial)
                except OSError:
                    placement.partial.distrust()
                    raise
        finally:
            for descriptor in opened:
                os.close(descriptor)


def disturbed(where: StrPath) -> DiskError:
    """The error for a file that is not the one that was checked."""
    return DiskError(
        "somebody else changed a file on its way into the mirror",
        where=os.fspath(where),
        hint="mirror into this folder from one machine at a time; "
        "the next run fetches the file again",
    )


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    """What identifies a file with its bytes: a change of either changes it.

    The number of a file that was removed may be another's at once, whose time differs.
    """
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
