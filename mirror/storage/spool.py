"""Files on their way: the bytes so far, and a note beside them that makes them resumable.

The spool is a local folder, whatever kind of storage the root is. A note says how many bytes it
vouches for and their SHA-256, so that a partial file that lost or changed bytes (a power cut) is
found out before it is continued, and nothing spliced is ever built.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from mirror.errors import DiskError
from mirror.models import NOT_JSON, FileFacts, Role
from mirror.storage.durable import copy_bytes
from mirror.storage.layout import short_hash
from mirror.text import size

if TYPE_CHECKING:
    from hashlib import _Hash

_CHUNK_BYTES = 1 << 20


class Note(FileFacts, frozen=True):
    """The facts of a partial file's first `size` bytes; bytes of another URL are not continued.

    Attributes:
        complete: whether these bytes are the whole file, checked.
    """

    complete: bool


class Resume:
    """A partial file that was found as its note says.

    Attributes:
        note: that note.
        hasher: SHA-256 over its bytes, to go on with.
        head: the file's first bytes.
    """

    def __init__(self, note: Note, hasher: "_Hash", head: bytes) -> None:
        self.note = note
        self.hasher = hasher
        self.head = head


class Spool:
    """The folder of partial files, and the room on its disk.

    Args:
        folder: where partial files are; it need not exist yet.
        min_free: bytes that must stay free on its disk.
    """

    def __init__(self, folder: Path, *, min_free: int = 0) -> None:
        self._folder = folder
        self._min_free = min_free
        self._noted: set[str] | None = None

    def partial(self, key: str, role: Role) -> "Partial":
        """Where an asset's file is while it is on its way."""
        if self._noted is None:
            self._noted = noted_in(self._folder)
        return Partial(f"{self._folder}{os.sep}{short_hash(key)}.{role}", self._noted)

    def clear(self) -> None:
        """Remove what is left of files that nobody waits for any more."""
        for left in self._folder.iterdir():
            left.unlink()

    def free(self) -> int:
        """Bytes that are free on the disk.

        Raises:
            OSError: the disk fails.
        """
        # A run that was cut off in its first moment left a root without a spool.
        there = self._folder if self._folder.is_dir() else self._folder.parent
        return shutil.disk_usage(there).free

    def check_room(self, needed: int) -> int:
        """See that so many bytes fit, and leave the reserve.

        Returns:
            How many more would.

        Raises:
            DiskError: they do not.
        """
        free = self.free()
        if free - needed < self._min_free:
            raise DiskError(
                f"the disk is nearly full: {size(free)} free, {size(needed)} to come, and "
                f"{size(self._min_free)} are to stay free",
                where=str(self._folder),
                hint="free some space, or lower --min-free",
            )
        return free - needed - self._min_free


def noted_in(folder: Path) -> set[str]:
    """The paths of all notes in a folder: one look saves one at each file, and mostly finds none.

    Raises:
        OSError: the disk fails.
    """
    return {entry.path for entry in os.scandir(folder) if entry.name.endswith(".json")}


class Partial:
    """One partial file and its note. It can be given to `os` in place of its path.

    Args:
        path: where the bytes are, or will be.
        noted: the paths of the folder's notes, shared by all its partial files; they are looked
            up if None.

    Attributes:
        kept: how many bytes its note vouches for, as far as this object has seen.
    """

    def __init__(self, path: str | Path, noted: set[str] | None = None) -> None:
        self._file = os.fspath(path)
        self._note_file = f"{self._file}.json"
        self._noted = noted_in(Path(self._file).parent) if noted is None else noted
        self.kept = 0

    def __fspath__(self) -> str:
        return self._file

    @property
    def path(self) -> Path:
        """Where the bytes are."""
        return Path(self._file)

    def has_note(self) -> bool:
        """Whether it is worth looking for something to continue."""
        return self._note_file in self._noted

    def resume(self, url: str, *, head_bytes: int) -> Resume | None:
        """What can be continued; reads and hashes the bytes so far.

        Args:
            url: that will be asked, without its query.
            head_bytes: how many of the first bytes are wanted.

        Raises:
            OSError: the disk fails; a file that is absent is no error.
        """
        import hashlib  # noqa: PLC0415 - it loads OpenSSL, and commands that only read resume nothing

        self.kept = 0
        try:
            note = msgspec.json.decode(Path(self._note_file).read_bytes(), type=Note)
            if note.url != url:
                return None
            hasher = hashlib.sha256()
            head = b""
            with self.path.open("rb") as file:
                left = note.size
                while left > 0 and (chunk := file.read(min(left, _CHUNK_BYTES))):
                    head = head or chunk[:head_bytes]
                    hasher.update(chunk)
                    left -= len(chunk)
        except (FileNotFoundError, *NOT_JSON):
            return None
        is_whole = not left and hasher.hexdigest() == note.sha256
        self.kept = note.size if is_whole else 0
        return Resume(note, hasher, head) if is_whole else None

    def save(self, note: Note) -> None:
        """Vouch for the bytes so far.

        Raises:
            OSError: the disk fails.
        """
        temporary = Path(f"{self._note_file}.tmp")
        temporary.write_bytes(msgspec.json.encode(note))
        temporary.replace(self._note_file)
        self._noted.add(self._note_file)
        self.kept = note.size

    def open(self, offset: int) -> int:
        """A descriptor that writes from the offset on; what lay behind it is gone.

        Raises:
            OSError: the disk fails, or something else lies there.
        """
        flags = os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        if offset == 0:
            new = flags | os.O_CREAT | os.O_EXCL
            if self.has_note():
                self.discard()
            try:
                return os.open(self._file, new, 0o644)
            except FileExistsError:
                # It may be a second name of a file in the tree: never write into it.
                self.discard()
                return os.open(self._file, new, 0o644)
        descriptor = os.open(self._file, flags)
        os.ftruncate(descriptor, offset)
        os.lseek(descriptor, offset, os.SEEK_SET)
        return descriptor

    def take(self, source: BinaryIO) -> None:
        """Make it a copy of a file; blocks are shared where the file system can do that.

        Args:
            source: open for reading; it is closed.

        Raises:
            OSError: the disk fails.
        """
        with source, os.fdopen(self.open(0), "wb") as copy:
            try:
                descriptor = source.fileno()
            except OSError:  # it is no file of this system
                shutil.copyfileobj(source, copy, _CHUNK_BYTES)
            else:
                copy_bytes(descriptor, copy.fileno())

    def forget(self) -> None:
        """Drop the note: the bytes, if any, are worth nothing."""
        with contextlib.suppress(FileNotFoundError):
            Path(self._note_file).unlink()
        self._noted.discard(self._note_file)
        self.kept = 0

    def discard(self) -> None:
        """Drop the note and the bytes."""
        self.forget()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
