"""Complete partial files of a batch: made durable, and known again in their places."""

import os
from collections.abc import Callable, Sequence

from mirror.errors import DiskError
from mirror.storage import layout
from mirror.storage.durable import BINARY, NO_FOLLOW, Disk, StrPath, begin_writing
from mirror.storage.interface import Placement
from mirror.storage.partial import Partial


class Securing:
    """Makes partial files durable, and remembers which files those were.

    Args:
        disk: takes the durable steps.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._secured: dict[str, tuple[int, int, int]] = {}

    def begin(self, placements: Sequence[Placement]) -> Callable[[Callable[[], None]], None]:
        """Give partial files their final times, and open them.

        Returns:
            What does the fsyncs, as `Storage.secure` says.

        Raises:
            OSError: the disk fails.
            DiskError: somebody else changed a file.
        """
        opened: list[tuple[Placement, int]] = []

        def close() -> None:
            for _, descriptor in opened:
                os.close(descriptor)

        def wait(check_stop: Callable[[], None]) -> None:
            try:
                self._sync_all(opened, check_stop)
            finally:
                close()

        try:
            for placement in placements:  # one by one, so that all that are open get closed
                opened.append((placement, self._opened(placement)))  # noqa: PERF401
        except BaseException:
            close()
            raise
        return wait

    def is_the_file(self, found: os.stat_result, partial: Partial) -> bool:
        """Whether what was found in a place is the file that was secured; asked once for each."""
        return _identity(found) == self._secured.pop(os.fspath(partial), None)

    def _opened(self, placement: Placement) -> int:
        """A complete partial file, open, with its final time."""
        path = os.fspath(placement.partial)
        self._disk.set_time(path, layout.mtime_ns(placement.mtime_ms))
        descriptor = os.open(path, os.O_RDWR | BINARY | NO_FOLLOW)
        self._secured[path] = found = _identity(os.fstat(descriptor))
        if found[-1] != placement.size:
            os.close(descriptor)
            raise disturbed(path)
        return descriptor

    def _sync_all(
        self, opened: Sequence[tuple[Placement, int]], check_stop: Callable[[], None]
    ) -> None:
        """Make the bytes of many open files durable.

        The system begins to write all of them before we wait for the first: their blocks
        then share one commit of the file system's journal, and take half the time.
        """
        for _, descriptor in opened:
            begin_writing(descriptor)
        for placement, descriptor in opened:
            check_stop()
            try:
                self._disk.sync(descriptor, placement.partial)
            except OSError:
                placement.partial.distrust()
                raise


def disturbed(where: StrPath) -> DiskError:
    """The error for a file that is not the one that was checked."""
    return DiskError(
        "somebody else changed a file on its way into the mirror",
        where=os.fspath(where),
        hint="mirror into this folder from one machine at a time; "
        "the next run fetches the file again",
    )


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    """What identifies a file with its bytes: a change of either changes it."""
    return found.st_dev, found.st_ino, found.st_size
