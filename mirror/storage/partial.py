"""One partial file and its note."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from mirror.models import NOT_JSON, FileFacts
from mirror.storage.durable import BINARY, NO_FOLLOW, copy_bytes, read_file

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


def noted_in(folder: Path) -> set[str]:
    """The paths of all notes in a folder.

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
        self._is_distrusted = False
        self.kept = 0

    def __fspath__(self) -> str:
        return self._file

    @property
    def name(self) -> str:
        """Its name in the spool."""
        return os.path.basename(self._file)  # noqa: PTH119 - for every file

    @property
    def path(self) -> Path:
        """The path of the bytes."""
        return Path(self._file)

    def has_note(self) -> bool:
        """Whether it is worth looking for something to continue."""
        return self._note_file in self._noted

    def resume(self, url: str, *, head_bytes: int) -> Resume | None:
        """The state to resume from; reads and hashes the bytes so far.

        Args:
            url: that will be asked, without its query.
            head_bytes: how many of the first bytes are wanted.

        Returns:
            Where the bytes are, and their hash to go on with; None where they are not as noted, or
            cannot be read.
        """
        import hashlib  # noqa: PLC0415 - it loads OpenSSL, and commands that only read resume nothing

        self.kept = 0
        try:
            note = msgspec.json.decode(read_file(self._note_file), type=Note)
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
        except (OSError, *NOT_JSON):  # absent, or under a bad sector
            return None
        is_whole = not left and hasher.hexdigest() == note.sha256
        self.kept = note.size if is_whole else 0
        return Resume(note, hasher, head) if is_whole else None

    def read_note(self) -> Note | None:
        """The note that vouches for the bytes; None if there is none."""
        try:
            return msgspec.json.decode(read_file(self._note_file), type=Note)
        except (OSError, *NOT_JSON):
            return None

    def save(self, note: Note) -> None:
        """Vouch for the bytes so far, unless they are not to be trusted.

        Raises:
            OSError: the disk fails.
        """
        if self._is_distrusted:
            return
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
        flags = os.O_WRONLY | BINARY | NO_FOLLOW
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

    def rename(self, other: "Partial") -> None:
        """Give bytes and note another name, if they are there; the note goes last.

        Raises:
            OSError: the disk fails.
        """
        with contextlib.suppress(FileNotFoundError):
            os.replace(self, other)  # noqa: PTH105 - they are no `Path`
            if self.has_note():
                os.replace(self._note_file, f"{os.fspath(other)}.json")  # noqa: PTH105 - texts
                self._noted.discard(self._note_file)
                self._noted.add(f"{os.fspath(other)}.json")

    def distrust(self) -> None:
        """Drop bytes that the disk refused to make durable; nothing may vouch for them again."""
        self._is_distrusted = True
        with contextlib.suppress(OSError):
            self.discard()

    def forget(self) -> None:
        """Drop the note."""
        with contextlib.suppress(FileNotFoundError):
            Path(self._note_file).unlink()
        self._noted.discard(self._note_file)
        self.kept = 0

    def discard(self) -> None:
        """Drop the note and the bytes."""
        self.forget()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
