"""A folder on a disk as the root: the first implementation of `interface.Storage`.

Only this module makes, moves or removes files in the tree. It never deletes a byte there: what is
replaced goes to `history/` first.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import BinaryIO

import msgspec

from mirror.errors import DiskError
from mirror.models import NOT_JSON, Entry, StoredFile
from mirror.storage import layout
from mirror.storage.appended import AppendedFile
from mirror.storage.copied_down import take_in
from mirror.storage.durable import (
    BINARY,
    NO_FOLLOW,
    NO_WAIT,
    Disk,
    append_to,
    disk_error,
    disk_errors,
    give_name,
    have_same_bytes,
    open_file,
    read_file,
)
from mirror.storage.hashing import hash_file
from mirror.storage.interface import Area, BlockedError, Found, Holder, Marker, Placement, Storage
from mirror.storage.lock import FolderLock
from mirror.storage.partial import Partial
from mirror.storage.securing import Securing, disturbed
from mirror.storage.trash import TrashFolder
from mirror.storage.walking import files_below

_TIMES_DIFFER_NS = 2_000_000_000  # FAT keeps times in steps of two seconds
_RUNS_TAIL_BYTES = 1 << 20
_RECORDS = layout.TRASH_RECORDS[0]
_IN_THE_WAY = frozenset((errno.EISDIR, errno.ENOTEMPTY, errno.EPERM, errno.EACCES, errno.EBUSY))
"""The errors of a rename whose cause is at the target, and not in its folder."""


class LocalFolder(Storage):
    """A folder as a mirror's root.

    Args:
        dest: the folder; an absolute path.
        disk: takes the durable steps.
    """

    def __init__(self, dest: Path, *, disk: Disk | None = None) -> None:
        self._dest = dest
        self._private = dest / layout.PRIVATE_FOLDER
        self._runs = self._private / "runs.jsonl"
        self._marker = self._private / "root.json"
        self._disk = disk or Disk()
        self._journal = AppendedFile(self._private / "journal", self._disk)
        self._trash = TrashFolder(self._private / "trash", self._disk)
        self._securing = Securing(self._disk)
        self._lock = FolderLock(self._private, dest=dest, disk=self._disk)
        self._prefix = f"{dest}{os.sep}"
        self._folders: set[Path] = set()
        self._are_inside: dict[str, bool] = {}
        self._places: dict[str, Path] = {}

    # The root itself.

    @property
    def where(self) -> str:
        """The root, as messages name it."""
        return str(self._dest)

    def location(self, path: str) -> str:
        """A file or document, as messages name it."""
        return str(self._path(path))

    @property
    def spool_folder(self) -> Path:
        """Where partial files are: on the root's own disk, so that placing one is a rename."""
        return self._private / "partial"

    @property
    def is_prepared(self) -> bool:
        """Whether the folder is a mirror's root."""
        return self._marker.is_file()

    def prepare(self, begin: Callable[[], None]) -> str:
        """Make the folder a mirror's root, or see that it is one."""
        try:
            self._real_folder(self._private)
            if not self.is_prepared:
                with self.lock():
                    self._begin(begin)
            self._real_folder(self.spool_folder)
            self._securing.watch(self.spool_folder)
            return self._root_id()
        except OSError as error:
            raise disk_error(error, error.filename or self._dest) from None

    def _begin(self, begin: Callable[[], None]) -> None:
        """Make the root, unless another run was faster; to be called with the lock."""
        if self.is_prepared:
            return
        begin()
        self._disk.write_atomic(self._marker, msgspec.json.encode(Marker.new()))

    def _root_id(self) -> str:
        try:
            return msgspec.json.decode(self._marker.read_bytes(), type=Marker).id
        except (OSError, *NOT_JSON):
            return ""

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock: one run at a time."""
        with disk_errors(self._private):
            self._real_folder(self.spool_folder)
        with self._lock.held():
            with disk_errors(self._private):
                take_in(self._private, self._disk)
            yield

    def holder(self) -> Holder | None:
        """The run that is at work now; None also if it was killed, as far as can be found out."""
        return self._lock.holder()

    def close(self) -> None:
        """Close the journal, and what is open of the spool."""
        self._journal.close()
        self._securing.close()

    # The documents.

    def read_document(self, name: str) -> bytes:
        """The whole content of a document."""
        return read_file(self._path(name))

    def document_version(self, name: str) -> object:
        """What differs between a document and its replacement; None where there is no document."""
        try:
            found = self._path(name).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def write_document(self, name: str, content: bytes | Iterable[bytes]) -> None:
        """Replace a document in one step: a reader, or a crash, sees the old or the new."""
        path = self._path(name)
        self._real_folder(path.parent)
        self._disk.write_atomic(path, content)

    def copy_document(self, name: str, copy: str) -> None:
        """Keep a document under a second name as well, durably."""
        self._disk.keep_copy(self._path(name), self._path(copy))

    def documents_in(self, folder: str) -> Iterator[str]:
        """The names of the files in a folder that is no link."""
        if not self._is_inside(f"{folder.rstrip('/')}/name"):
            return
        with contextlib.suppress(FileNotFoundError), os.scandir(self._path(folder)) as entries:
            yield from [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]

    # The journal, and the log of runs.

    def read_journal(self) -> bytes:
        """All of it."""
        return self._journal.read()

    def append_journal(self, data: bytes, *, at: int) -> None:
        """Write behind the first bytes, durably: all of it or, on an error, nothing."""
        self._journal.append(data, at=at)

    def empty_journal(self, *, at: int) -> None:
        """Begin it anew, durably."""
        self._journal.empty(at=at)

    def read_runs(self) -> bytes:
        """The end of the log of runs."""
        try:
            with open_file(self._runs) as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _RUNS_TAIL_BYTES))
                return file.read()
        except FileNotFoundError:
            return b""

    def append_run(self, line: bytes) -> None:
        """Add a run to the log."""
        with append_to(self._runs) as file:
            file.write(_line_break_after(self._runs) + line + b"\n")

    # Files in their places.

    def is_intact(self, stored: StoredFile) -> bool:
        """Whether a file is in its place with its size. The bytes are `verify`'s business."""
        try:
            found = os.lstat(self._prefix + stored.path)
        except (OSError, ValueError):
            return False
        if not self._is_inside(stored.path):
            return False
        return found.st_size == stored.size and stat.S_ISREG(found.st_mode)

    def look(self, path: str) -> Found | None:
        """The file or other object at a path; None if there is nothing."""
        try:
            found = os.lstat(self._prefix + path)
        except (OSError, ValueError):
            return None
        if not self._is_inside(path):
            return None
        return Found(path, found.st_size, found.st_mtime_ns, stat.S_ISREG(found.st_mode))

    def set_time(self, path: str, mtime_ms: int) -> None:
        """Give a file its asset's time again; a time is worth no failure."""
        found = self.look(path)
        mtime_ns = layout.mtime_ns(mtime_ms)
        if (
            found is not None
            and found.is_file
            and abs(found.mtime_ns - mtime_ns) > _TIMES_DIFFER_NS
        ):
            self._disk.set_time(self._prefix + path, mtime_ns)

    def open(self, path: str) -> BinaryIO:
        """A file to read; a link in its place is not followed, nor is a pipe waited for."""
        flags = os.O_RDONLY | BINARY | NO_FOLLOW | NO_WAIT
        if not self._is_inside(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.location(path))
        descriptor = os.open(self._prefix + path, flags)
        return os.fdopen(descriptor, "rb", buffering=0)

    def copy_out(self, path: str, partial: Partial) -> None:
        """Give a file's bytes to a partial file."""
        partial.discard()
        give_name(self._path(path), partial)

    def walk(self, area: Area) -> Iterator[Found]:
        """Every file in a part of the root, but for documents and what belongs to others."""
        top = self._dest if area == "tree" else self._private / area
        for path in files_below(top, is_tree=area == "tree"):
            relative = path.removeprefix(self._prefix).replace(os.sep, "/")
            if (found := self.look(relative)) is not None:  # a run is at work
                yield found

    # Files on their way into their places.

    def secure(self, placements: Sequence[Placement]) -> Callable[[Callable[[], None]], None]:
        """Give partial files their final times, and open them; what waits does the fsyncs."""
        return self._securing.begin(placements)

    def keep(self, path: str, version: str) -> str:
        """Give a file a durable second name in `history/`."""
        source = self._path(path)
        wanted = layout.history_path(path, version)
        kept, count = wanted, 1
        while self._path(kept).exists() and not have_same_bytes(source, self._path(kept)):
            count += 1
            kept = layout.history_path(path, f"{version}-{count}")
        self._real_folder(self._path(kept).parent)
        try:
            self._disk.keep_copy(source, self._path(kept))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # It can neither be linked nor read, and is worth no failure of the file that follows.
            self._disk.move(source, self._path(kept))
        return kept

    def place(self, placement: Placement) -> None:
        """Rename a file into its place, and see that it is the one that was secured."""
        target = self._prefix + placement.path
        name = placement.path.rpartition("/")[0]
        if (folder := self._places.get(name)) is None:
            folder = self._path(name)
            try:
                self._real_folder(folder)
            except NotADirectoryError as error:  # a user's file has the name of a folder of ours
                raise BlockedError(
                    error.errno, "a file is in the way of a folder", os.fspath(folder)
                ) from None
            self._places[name] = folder
        try:
            self._disk.move(placement.partial, target)
        except OSError as error:
            is_at_fault = error.errno in _IN_THE_WAY and os.access(folder, os.W_OK)
            if is_at_fault and os.path.lexists(target):
                raise BlockedError(error.errno, error.strerror, target) from None
            raise
        found = os.lstat(target)
        if found.st_nlink > 1:  # where both were one file, renaming does nothing
            placement.partial.discard()
        elif placement.partial.has_note():
            placement.partial.forget()
        is_the_file = self._securing.is_the_file(found, placement.partial)
        if not is_the_file and hash_file(self.open(placement.path)).sha256 != placement.sha256:
            raise disturbed(target)

    def settle(self, paths: Iterable[str]) -> None:
        """Fsync the folders of these files."""
        for name in {path.rpartition("/")[0] for path in paths}:
            self._disk.sync_folder(self._path(name))

    def remove(self, path: str) -> None:
        """Remove a name of a file that has another name, if it is there."""
        self._disk.unlink(self._path(path))

    def remove_kept(self, path: str, kept: str, *, but: Collection[str] = ()) -> None:
        """Remove a name if the other name has the very same file."""
        file = self._path(path)
        with contextlib.suppress(FileNotFoundError):
            if any(_is_one_file(file, self._path(other)) for other in but):
                return
            if have_same_bytes(file, self._path(kept)):
                self._disk.unlink(file)

    # The trash.

    def new_trash_name(self) -> str:
        """A name for what one `prune` moves."""
        return self._trash.new_name()

    def trash(self, paths: Iterable[str], name: str, records: Iterable[bytes]) -> None:
        """Give files a durable second name in the trash, with the entries that they belonged to."""
        targets = {self._path(path): self._path(layout.trash_path(path, name)) for path in paths}
        for target in [self._path(layout.trash_path(_RECORDS, name)), *targets.values()]:
            self._real_folder(target.parent)
        self._trash.add(targets, name, records)

    def finish_trash(self, name: str) -> None:
        """Give the records their final name, beside which no old name is left."""
        self._trash.finish(name)

    def unfinished_trash(self) -> Set[str]:
        """The names of each `prune` whose records have not their final name."""
        return self._trash.unfinished()

    def trashed(self) -> Iterator[tuple[str, Entry]]:
        """Every entry that is in the trash, with the name of its `prune`."""
        return self._trash.entries()

    def remove_if_trashed(self, path: str, name: str) -> None:
        """Remove a name if the very same file is in that part of the trash."""
        self.remove_kept(path, layout.trash_path(path, name))

    def empty_trash(self, names: Iterable[str]) -> None:
        """Delete parts of the trash for good."""
        self._trash.delete(names)

    def _path(self, relative: str) -> Path:
        return self._dest / relative

    def _is_inside(self, path: str) -> bool:
        """Whether no folder above a file is a link: what it leads to is not in the mirror."""
        folder = path.rpartition("/")[0]
        if (is_inside := self._are_inside.get(folder)) is None:
            parents = [self._path(folder), *self._path(folder).parents]
            below = parents[: parents.index(self._dest)] if folder else []
            is_inside = self._are_inside[folder] = not any(map(Path.is_symlink, below))
        return is_inside

    def _real_folder(self, folder: Path) -> None:
        if folder in self._folders:
            return
        if not folder.resolve().is_relative_to(self._dest.resolve()):
            raise DiskError(
                "a link in the mirror leads out of it",
                where=str(folder),
                hint="replace the link with a folder",
            )
        self._disk.make_folder(folder)
        self._folders.add(folder)


def _is_one_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except FileNotFoundError:
        return False


def _line_break_after(path: Path) -> bytes:
    """A line break if the last line is torn by a full disk or a power cut, else nothing."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 1, 0))
        return b"" if file.read() in (b"", b"\n") else b"\n"
