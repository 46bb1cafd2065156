"""Files on their way: the bytes so far, and a note beside them that makes them resumable.

The spool is a local folder, whatever kind of storage the root is. A note says how many bytes it
vouches for, and their SHA-256. So a partial file that lost or changed bytes in a power cut is
detected before it is continued, and two versions are never joined.

Each run gives its partial files names of its own: two machines whose share keeps no locks between
them never write into one file. What an earlier run left is taken over under a new name.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from mirror.errors import DiskError
from mirror.models import Role
from mirror.storage.durable import Disk, free_bytes
from mirror.storage.layout import short_hash
from mirror.storage.partial import Note, Partial
from mirror.storage.promises import Promises
from mirror.text import size

_NAME = re.compile(
    r"(?P<stem>(?P<copy>copy-)?[0-9a-f]{16}\.(?:resource|cover))(?:\.(?P<run>[0-9a-f-]+))?"
)
_UNKNOWN_ROOM = 1 << 62
_STILL_WRITTEN_S = 120
"""Another machine may still work on a file until this long after its last byte."""


class Left(Struct, frozen=True):
    """A partial file that is in the spool.

    Attributes:
        partial: the file.
        is_copy: whether it is a copy of a file that lies elsewhere.
        note: what vouches for it, or None.
    """

    partial: Partial
    is_copy: bool
    note: Note | None


class Spool:
    """The folder of partial files, the promises made of them, and the room on its disk.

    Args:
        folder: where partial files are; it need not exist yet.
        min_free: bytes that must stay free on its disk.
        disk: takes the durable steps.
    """

    def __init__(self, folder: Path, *, min_free: int = 0, disk: Disk | None = None) -> None:
        self.promises = Promises(folder.with_name("promised"), disk or Disk())
        self._folder = folder
        self._min_free = min_free
        self._noted: set[str] = set()
        self._left: dict[str, list[str]] | None = None

    def partial(self, key: str, role: Role, *, is_copy: bool = False) -> Partial:
        """The partial file for one file of an asset.

        Args:
            key: the asset's.
            role: which of its files.
            is_copy: whether it will be a copy of a file that lies elsewhere, and not fetched.

        Raises:
            OSError: the disk fails.
        """
        left = self._left if self._left is not None else self._look()
        stem = f"{'copy-' if is_copy else ''}{short_hash(key)}.{role}"
        partial = self.named(f"{stem}.{self._run}")
        if left and (names := left.pop(stem, None)) is not None:
            self._take_over(names, partial)
        return partial

    def named(self, name: str) -> Partial:
        """The partial file of that name, as a promise has it."""
        return Partial(f"{self._folder}{os.sep}{name}", self._noted)

    def left(self) -> Iterator[Left]:
        """The partial files of all runs, except those that another run may still write.

        Raises:
            OSError: the disk fails.
        """
        for entry in sorted(os.scandir(self._folder), key=lambda entry: entry.name):
            found = _NAME.fullmatch(entry.name)
            if found is not None and entry.is_file(follow_symlinks=False):
                partial = self.named(entry.name)
                if self._is_ours(entry.path, found["run"]):
                    note = partial.read_note()
                    yield Left(partial, found["copy"] is not None, note)

    def files(self) -> Iterator[tuple[str, int]]:
        """The name and the size of every partial file, whoever may still write it.

        Raises:
            OSError: the disk fails.
        """
        for entry in sorted(os.scandir(self._folder), key=lambda entry: entry.name):
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                yield entry.name, entry.stat().st_size

    def open(self, name: str) -> BinaryIO:
        """A partial file to read.

        Raises:
            OSError: it cannot be opened.
        """
        return self.named(name).path.open("rb")

    def clear_notes(self) -> None:
        """Remove notes whose partial files are gone.

        Raises:
            OSError: the disk fails.
        """
        for entry in os.scandir(self._folder):
            name = entry.name.removesuffix(".tmp").removesuffix(".json")
            is_note = name != entry.name and _NAME.fullmatch(name) is not None
            if is_note and not os.path.lexists(f"{self._folder}{os.sep}{name}"):
                Path(entry.path).unlink()

    def check_room(self, needed: int) -> int:
        """Check that this many bytes fit without touching the reserve.

        Returns:
            How many more bytes would fit.

        Raises:
            DiskError: they do not.
        """
        free = free_bytes(self._folder)
        if free is None:
            return _UNKNOWN_ROOM
        if free - needed < self._min_free:
            raise DiskError(
                f"the disk is nearly full: {size(free)} free, {size(needed)} needed, and "
                f"{size(self._min_free)} must stay free",
                where=str(self._folder),
                hint="free some space, or lower --min-free",
            )
        return free - needed - self._min_free

    def close(self) -> None:
        """Close what is open."""
        self.promises.close()

    @cached_property
    def _host(self) -> str:
        import platform  # noqa: PLC0415 - commands that only read make no partial files

        return short_hash(platform.node())[:6]

    @cached_property
    def _run(self) -> str:
        """The part of their names that this run's partial files share."""
        return f"{self._host}-{os.urandom(4).hex()}"

    def _look(self) -> dict[str, list[str]]:
        """Find the partial files of earlier runs, once, instead of once for each file."""
        left: dict[str, list[str]] = {}
        for entry in os.scandir(self._folder):
            if entry.name.endswith(".json"):
                self._noted.add(entry.path)
            elif (found := _NAME.fullmatch(entry.name)) and self._is_ours(entry.path, found["run"]):
                left.setdefault(found["stem"], []).append(entry.name)
        self._left = left
        return left

    def _is_ours(self, path: str, run: str | None) -> bool:
        """Whether nobody but us can be writing the file: see the module's docstring.

        Runs on this machine are kept apart by the lock; of other machines' only files that were
        not written for some time are touched.
        """
        if run is None or run.startswith(self._host):
            return True
        with contextlib.suppress(FileNotFoundError):
            return time.time() - os.lstat(path).st_mtime > _STILL_WRITTEN_S
        return False

    def _take_over(self, names: list[str], partial: Partial) -> None:
        """Give an earlier run's file our name; the note is renamed last."""
        noted = [name for name in names if self.named(name).has_note()]
        for name in (noted or names)[:1]:
            self.named(name).rename(partial)
