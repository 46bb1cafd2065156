"""The mirror's root on disk: marker, lock, files on their way and in their places, free space.

Only this module makes, moves or removes files in the tree. It never deletes a byte that it did not
write in `partial/`: what is replaced goes to `history/` first.
"""

import contextlib
import itertools
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import BinaryIO, Self

import msgspec
from msgspec import Struct

from mirror.clock import now_iso
from mirror.errors import DiskError, LockedError, UsageError
from mirror.models import NOT_JSON, Entry, Role, StoredFile
from mirror.storage import layout
from mirror.storage.durable import FILE_MODE, Disk, disk_error
from mirror.storage.spool import Partial, noted_in
from mirror.text import size

_LATEST_MTIME_MS = 4_102_444_800_000  # the year 2100; FAT and some NAS firmware end there or after
_LOOKED_AT_S = 0.2
"""For so long a new run waits for the lock: `status` may be looking at it."""


class Placement(Struct, frozen=True):
    """A complete partial file and the place it is meant for.

    Attributes:
        partial: where its bytes are.
        path: its place, relative to the root.
        mtime_ms: epoch milliseconds, the asset's updateTime.
    """

    partial: Partial
    path: str
    mtime_ms: int


class _Marker(Struct):
    format: str
    version: int
    id: str
    created: str


class Holder(Struct, frozen=True):
    """A run that holds the lock.

    Attributes:
        pid: its process.
        since: ISO 8601 UTC.
    """

    pid: int
    since: str


class KnownRoots:
    """The roots that this user has mirrored to, remembered outside of them.

    An empty folder where a mirror has been means that its volume is not mounted: filling the mount
    point would be a second, wrong mirror on the wrong disk.

    Args:
        folder: the user's state folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "roots.json"

    def __contains__(self, dest: Path) -> bool:
        return str(dest.resolve()) in self._read()

    def add(self, dest: Path, root_id: str) -> None:
        """Remember a root. A state folder that cannot be written costs only this protection."""
        known = self._read()
        name = str(dest.resolve())
        if known.get(name) == root_id:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            Disk().write_atomic(self._path, msgspec.json.encode({**known, name: root_id}))

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except (OSError, *NOT_JSON):
            return {}


class Store:
    """A mirror's root. Use `create` or `open`, then `locked` before anything is written.

    Args:
        dest: the root; an absolute path.
        min_free: bytes that must stay free on its disk.
        disk: takes the durable steps.
    """

    def __init__(self, dest: Path, *, min_free: int = 0, disk: Disk | None = None) -> None:
        self.dest = dest
        self.private = dest / layout.PRIVATE_FOLDER
        self.journal = self.private / "journal"
        self.runs = self.private / "runs.jsonl"
        self._verified = self.private / "verified.json"
        self._partials = self.private / "partial"
        self._marker = self.private / "root.json"
        self._holder = self.private / "lock.json"
        self._min_free = min_free
        self._disk = disk or Disk()
        self._prefix = f"{dest}{os.sep}"
        self._folders: set[Path] = set()
        self._places: dict[str, Path] = {}
        self._noted: set[str] | None = None

    @property
    def is_prepared(self) -> bool:
        """Whether the folder is a mirror's root."""
        return self._marker.is_file()

    def prepare(self, known: KnownRoots, *, begin: Callable[[], None], again: bool = False) -> None:
        """Make the folder a mirror's root, or see that it is one.

        Args:
            known: the roots of earlier runs.
            begin: called before the folder counts as a root, to put an empty manifest there.
            again: begin anew even where an earlier root is missing.

        Raises:
            DiskError: it cannot be, or an earlier root's volume is not mounted.
        """
        try:
            if not again:
                self.require_mounted(known)
            self._real_folder(self.private)
            if not self.is_prepared:
                begin()
                import uuid  # noqa: PLC0415 - for new roots alone

                marker = _Marker("kling-mirror", 1, uuid.uuid4().hex, now_iso())
                self._disk.write_atomic(self._marker, msgspec.json.encode(marker))
            self._real_folder(self._partials)
            known.add(self.dest, self._root_id())
        except OSError as error:
            raise disk_error(error, error.filename or self.dest) from None

    def require_mounted(self, known: KnownRoots) -> None:
        """See that a root of earlier runs is there.

        Raises:
            DiskError: it is not.
        """
        if not self.is_prepared and self.dest in known:
            raise DiskError(
                "a mirror was here, and is not: is its disk mounted?",
                where=str(self.dest),
                hint="mount the disk; if you removed the mirror on purpose, begin anew "
                f"with `kling-mirror init --dest {self.dest}`",
            )

    def require_prepared(self) -> None:
        """See that the folder is a mirror's root, for commands that only read it.

        Raises:
            UsageError: it is none.
        """
        if not self.is_prepared:
            raise UsageError(
                "there is no mirror here",
                where=str(self.dest),
                hint="give the mirror's folder with --dest, or make one with `kling-mirror sync`",
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[Self]:
        """Hold the lock: one run at a time.

        Raises:
            LockedError: another run holds it.
            DiskError: the file system cannot lock, or not be written.
        """
        import filelock  # noqa: PLC0415 - commands that only read start without it

        lock = filelock.FileLock(self.private / "lock", timeout=_LOOKED_AT_S, thread_local=False)
        try:
            self._real_folder(self._partials)
            self._appending(self.private / "lock").close()  # with our mode, if it is new
            lock.acquire()
        except filelock.Timeout:
            raise LockedError(
                f"another run is at work{self._named_holder()}",
                where=str(self.dest),
                hint="wait until it is done",
            ) from None
        except OSError as error:
            raise disk_error(error, self.private / "lock") from None
        try:
            with contextlib.suppress(OSError):  # a full disk must not hinder a run that reads
                holder = msgspec.json.encode(Holder(os.getpid(), now_iso()))
                self._disk.write_atomic(self._holder, holder)
            yield self
        finally:
            with contextlib.suppress(OSError):
                self._holder.unlink()
            lock.release()

    def is_intact(self, stored: StoredFile) -> bool:
        """Whether a file is in its place with its size. The bytes are `verify`'s business."""
        try:
            found = os.lstat(self._prefix + stored.path)
        except (OSError, ValueError):
            return False
        return found.st_size == stored.size and stat.S_ISREG(found.st_mode)

    def path(self, relative: str) -> Path:
        """The absolute path of one of the mirror's files."""
        return self.dest / relative

    def partial(self, key: str, role: Role) -> Partial:
        """Where an asset's file is while it is on its way."""
        if self._noted is None:
            self._noted = noted_in(self._partials)
        return Partial(f"{self._partials}{os.sep}{layout.short_hash(key)}.{role}", self._noted)

    def clear_partials(self) -> None:
        """Remove what is left of files that nobody waits for any more."""
        for left in self._partials.iterdir():
            left.unlink()

    def check_room(self, needed: int) -> int:
        """See that so many bytes fit, and leave the reserve.

        Returns:
            How many more would.

        Raises:
            DiskError: they do not.
        """
        free = shutil.disk_usage(self.private).free
        if free - needed < self._min_free:
            raise DiskError(
                f"the disk is nearly full: {size(free)} free, {size(needed)} to come, and "
                f"{size(self._min_free)} are to stay free",
                where=str(self.dest),
                hint="free some space, or lower --min-free",
            )
        return free - needed - self._min_free

    @contextlib.contextmanager
    def opened(self, placements: Iterable[Placement]) -> Iterator[list[int]]:
        """Partial files with their final times, open, to be made durable.

        Raises:
            OSError: the disk fails.
        """
        descriptors: list[int] = []
        try:
            for placement in placements:
                path = os.fspath(placement.partial)
                mtime_ns = min(max(placement.mtime_ms, 0), _LATEST_MTIME_MS) * 1_000_000
                os.utime(path, ns=(mtime_ns, mtime_ns))
                descriptors.append(os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0)))
            yield descriptors
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def sync_all(self, descriptors: Sequence[int]) -> None:
        """Make the bytes of files that `opened` gave durable.

        Raises:
            OSError: the disk fails.
        """
        self._disk.sync_all(descriptors)

    def keep(self, path: str, version: str) -> str:
        """Give a file a durable second name in `history/`.

        Args:
            path: relative to the root.
            version: what tells it from its successor.

        Returns:
            The second name's path, relative to the root.

        Raises:
            OSError: the disk fails.
        """
        source = self.path(path)
        wanted = layout.history_path(path, version)
        kept, count = wanted, 1
        while self.path(kept).exists() and not _same_bytes(source, self.path(kept)):
            count += 1
            kept = layout.history_path(path, f"{version}-{count}")
        self._real_folder(self.path(kept).parent)
        self._disk.keep_copy(source, self.path(kept))
        return kept

    def place(self, placements: Iterable[Placement], *, kept: Set[str]) -> set[Path]:
        """Move files into their places.

        Args:
            placements: whose partial files are durable.
            kept: paths whose present files are in `history/` already.

        Returns:
            The folders that `sync_folders` has yet to make durable.

        Raises:
            OSError: the disk fails, or a folder is a link that leads out of the root.
        """
        folders = set()
        for placement in placements:
            name = placement.path.rpartition("/")[0]
            if (folder := self._places.get(name)) is None:
                folder = self._places[name] = self.path(name)
                self._real_folder(folder)
            is_new = placement.path not in kept and not self._keep_stranger(placement)
            self._disk.rename(placement.partial, self._prefix + placement.path)
            if not is_new:  # where both were one file, there are two names still
                placement.partial.discard()
            elif placement.partial.has_note():
                placement.partial.forget()
            folders.add(folder)
        return folders

    def sync_folders(self, folders: Iterable[Path]) -> None:
        """Make the names in folders durable.

        Raises:
            OSError: the disk fails.
        """
        for folder in folders:
            self._disk.sync_folder(folder)

    def remove(self, path: str) -> None:
        """Take away a name whose file is in `history/`."""
        self._disk.unlink(self.path(path))

    def set_aside(self, path: str) -> None:
        """Keep a damaged file of ours under `.kling-mirror/`.

        Raises:
            OSError: the disk fails.
        """
        when = now_iso().replace(":", "")
        self._disk.keep_copy(self.path(path), self.private / f"{path}.damaged-{when}")

    @property
    def trash_folder(self) -> Path:
        """Where `prune` moves files."""
        return self.private / "trash"

    def keeping_folders(self) -> tuple[Path, Path]:
        """The folders of files that are out of the tree, and not deleted."""
        return self.private / "history", self.trash_folder

    def trash(self, paths: Iterable[str], when: str, records: Iterable[bytes]) -> None:
        """Give files a durable second name in the trash, with the entries that they belonged to.

        Args:
            paths: relative to the root.
            when: names the folder of one `prune`.
            records: JSON of the entries, a line each beside the files.

        Raises:
            OSError: the disk fails.
        """
        folder = self.trash_folder / when
        self._real_folder(folder)
        for path in paths:
            target = _in_trash(folder, path)
            self._real_folder(target.parent)
            self._disk.keep_copy(self.path(path), target)
        with self._appending(folder / "entries.jsonl") as file:
            file.writelines(record + b"\n" for record in records)
            file.flush()
            self._disk.sync(file.fileno())

    def new_trash_name(self) -> str:
        """A name for the folder of one `prune`."""
        now = now_iso().replace(":", "")
        names = (f"{now}-{number}" if number > 1 else now for number in itertools.count(1))
        return next(name for name in names if not (self.trash_folder / name).exists())

    def trashed(self) -> Iterator[tuple[Path, Entry]]:
        """Every entry that is in the trash, with the folder of its `prune`."""
        for record in sorted(self.trash_folder.glob("*/entries.jsonl")):
            for line in record.read_bytes().splitlines():
                with contextlib.suppress(*NOT_JSON):
                    yield record.parent, msgspec.json.decode(line, type=Entry)

    def remove_if_trashed(self, path: str, folder: Path) -> None:
        """Take away a name whose very bytes are in that folder of the trash."""
        with contextlib.suppress(FileNotFoundError):
            if _same_bytes(self.path(path), _in_trash(folder, path)):
                self.remove(path)

    def append_run(self, line: bytes) -> None:
        """Add a run to `runs.jsonl`.

        Raises:
            OSError: the disk fails.
        """
        with self._appending(self.runs) as file:
            file.write(_line_break_after(self.runs) + line + b"\n")

    def read_verified(self) -> bytes | None:
        """What `note_verified` wrote last, or None."""
        with contextlib.suppress(OSError):
            return self._verified.read_bytes()
        return None

    def note_verified(self, data: bytes) -> None:
        """Keep what a `verify` found, in place of what the one before found.

        Raises:
            OSError: the disk fails.
        """
        self._disk.write_atomic(self._verified, data)

    def _appending(self, path: Path) -> BinaryIO:
        """A file of ours to be added to; a link in its place is not followed."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        return os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0), FILE_MODE), "ab")

    def _keep_stranger(self, placement: Placement) -> bool:
        """Whether a file that nobody recorded lies in the way; it is kept, unless it is ours."""
        try:
            found = os.lstat(self._prefix + placement.path)
        except FileNotFoundError:
            return False
        target = self.path(placement.path)
        if stat.S_ISREG(found.st_mode) and not _same_bytes(target, placement.partial.path):
            self.keep(placement.path, f"replaced-{found.st_mtime_ns // 1_000_000}")
        return True

    def _real_folder(self, folder: Path) -> None:
        if folder in self._folders:
            return
        if not folder.resolve().is_relative_to(self.dest.resolve()):
            raise DiskError(
                "a link in the mirror leads out of it",
                where=str(folder),
                hint="replace the link by a folder",
            )
        self._disk.make_folder(folder)
        self._folders.add(folder)

    def _root_id(self) -> str:
        try:
            return msgspec.json.decode(self._marker.read_bytes(), type=_Marker).id
        except (OSError, *NOT_JSON):
            return ""

    def holder(self) -> Holder | None:
        """The run that is at work now; None also if it was killed.

        The lock alone knows that: the pid of a killed run may be another process's by now. Nothing
        is locked where a run is noted, but in the moment in which a killed one is found out.
        """
        holder = self._noted_holder()
        if holder is None:
            return None
        try:
            import fcntl  # noqa: PLC0415 - Windows has none
        except ImportError:
            return holder
        try:
            with (self.private / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # locked; or nobody can say
            return holder
        return None

    def _noted_holder(self) -> Holder | None:
        try:
            return msgspec.json.decode(self._holder.read_bytes(), type=Holder)
        except (OSError, *NOT_JSON):
            return None

    def _named_holder(self) -> str:
        holder = self._noted_holder()
        return f": pid {holder.pid}, since {holder.since}" if holder is not None else ""


def _line_break_after(path: Path) -> bytes:
    """What ends a last line that a full disk or a power cut has torn; nothing after a whole one."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 1, 0))
        return b"" if file.read() in (b"", b"\n") else b"\n"


def _in_trash(folder: Path, path: str) -> Path:
    return folder / path.removeprefix(f"{layout.PRIVATE_FOLDER}/")


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file's bytes a second name in `partial/`, not yet durable.

    Raises:
        OSError: the disk fails.
    """
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _same_bytes(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    if one.samefile(other):
        return True
    with one.open("rb") as left, other.open("rb") as right:
        while chunk := left.read(1 << 20):
            if chunk != right.read(1 << 20):
                return False
    return True
