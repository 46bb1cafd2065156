r"""`manifest.json` and its journal: what the mirror holds, kept so that no crash can make it lie.

Every change is one line appended to the journal and made durable; the document itself is replaced
once, at the end of a run. Loading reads the document and replays the journal over it. Journal
lines set or delete whole records, so that replaying them again changes nothing: a crash between
replacing the document and emptying the journal is harmless.

A line is `<crc32, 8 hex digits> <JSON>\n`. What follows the first line that is not whole was being
written when the power went; nothing of it had been promised.
"""

import io
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from mirror.clock import now_iso
from mirror.errors import ManifestError
from mirror.models import NOT_JSON, Entry, Failure, TwinEntry, TwinFailure
from mirror.storage.durable import Disk, disk_error

R = TypeVar("R", Entry, Failure)

FORMAT: Final = "kling-mirror"
VERSION: Final = 1
NAME = "manifest.json"
BACKUP_NAME = "manifest.json.bak"
SUMS_NAME = "SHA256SUMS"


class PutEntry(Struct, frozen=True, tag="entry", tag_field="op", omit_defaults=True):
    """The asset is mirrored so; a failure of it is over."""

    entry: Entry
    is_twin: bool = False


class DropEntry(Struct, frozen=True, tag="drop", tag_field="op"):
    """The manifest knows the asset no more."""

    key: str


class PutFailure(Struct, frozen=True, tag="failure", tag_field="op", omit_defaults=True):
    """The asset could not be mirrored."""

    failure: Failure
    is_twin: bool = False


class DropFailure(Struct, frozen=True, tag="settled", tag_field="op"):
    """The failure concerns nobody any more."""

    key: str


Change = PutEntry | DropEntry | PutFailure | DropFailure


class _Document(Struct):
    format: str
    version: int
    assets: dict[str, Entry]
    failures: dict[str, Failure]
    written: str = ""


class _Head(Struct):
    format: str
    version: int


_change_decoder = msgspec.json.Decoder(Change)
_document_decoder = msgspec.json.Decoder(_Document)


class Manifest:
    """What the mirror holds. Loaded whole; changed through `record` alone.

    Args:
        root: the mirror's root.
        journal: the journal's path.
        disk: takes the durable steps.

    Attributes:
        entries: by key.
        failures: by key.
    """

    def __init__(self, root: Path, journal: Path, disk: Disk | None = None) -> None:
        self.entries: dict[str, Entry] = {}
        self.failures: dict[str, Failure] = {}
        self._path = root / NAME
        self._backup = root / BACKUP_NAME
        self._sums = root / SUMS_NAME
        self._journal_path = journal
        self._journal_bytes = 0
        self._descriptor = -1
        self._disk = disk or Disk()

    @property
    def is_compact(self) -> bool:
        """Whether `manifest.json` says all that is to be said."""
        return self._journal_bytes == 0

    def begin(self) -> None:
        """Write an empty manifest where there is none.

        From then on a missing one is a loss that is noticed, not a library to be fetched anew.

        Raises:
            OSError: the disk fails.
        """
        if not self._path.exists() and not self._backup.exists():
            self._disk.write_atomic(self._path, self._as_document())

    def load(self, name: str = NAME) -> None:
        """Read the document and the journal.

        Args:
            name: the document's; the backup's only to rebuild.

        Raises:
            ManifestError: newer than this program, missing, or damaged; nothing was touched.
            DiskError: it cannot be read.
        """
        path = self._path.with_name(name)
        while True:
            before = _identity(path)
            self.entries, self.failures, self._journal_bytes = {}, {}, 0
            self._read_document(self._document_bytes(path))
            self.replay()
            if _identity(path) == before:  # else a run has replaced it, and emptied the journal
                return

    def replay(self) -> None:
        """Take in the journal.

        Raises:
            DiskError: it cannot be read.
        """
        try:
            data = self._journal_path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise disk_error(error, self._journal_path) from None
        for line in io.BytesIO(data):
            change = _parsed(line)
            if change is None:
                break
            self.apply(change)
            self._journal_bytes += len(line)

    def record(self, changes: Iterable[Change]) -> None:
        """Make changes durable in the journal, then true in memory.

        Raises:
            OSError: the journal could not be written; nothing changed in memory.
        """
        changes = list(changes)
        data = b"".join(map(_line, changes))
        if not data:
            return
        if self._descriptor < 0:
            self._open_journal()
        self._disk.append(self._descriptor, data, at=self._journal_bytes)
        self._journal_bytes += len(data)
        for change in changes:
            self.apply(change)

    def compact(self, *, keep_backup: bool = True) -> None:
        """Write the whole manifest anew, keep the one before it, and empty the journal.

        Args:
            keep_backup: whether the present document is worth being the backup.

        Raises:
            OSError: the disk fails; the old manifest and the journal stand.
        """
        if keep_backup and self._path.exists():
            self._disk.keep_copy(self._path, self._backup)
        self._disk.write_atomic(self._path, self._as_document())
        self._disk.write_atomic(self._sums, self._as_sums())
        if self._descriptor < 0:
            self._open_journal()
        self._disk.truncate(self._descriptor, 0)
        self._journal_bytes = 0

    def close(self) -> None:
        """Let go of the journal."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _document_bytes(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise ManifestError(
                "the manifest is missing from a folder that has been a mirror",
                where=str(path),
                hint="make it anew with `kling-mirror verify --rebuild`",
            ) from None
        except OSError as error:
            raise disk_error(error, path) from None

    def _read_document(self, data: bytes) -> None:
        try:
            document = _document_decoder.decode(data)
            if (document.format, document.version) != (FORMAT, VERSION):
                raise msgspec.ValidationError("not a manifest of kling-mirror")
            self.entries = _with_twins(document.assets, TwinEntry)
            self.failures = _with_twins(document.failures, TwinFailure)
        except NOT_JSON as error:
            if (version := _newer_version(data)) is not None:
                raise ManifestError(
                    f"the manifest is of version {version}, this program knows {VERSION}",
                    where=str(self._path),
                    hint="update kling-mirror: pip install --upgrade kling-mirror",
                    is_newer=True,
                ) from None
            raise ManifestError(
                f"the manifest is damaged: {error}",
                where=str(self._path),
                hint="nothing was touched; make it anew with `kling-mirror verify --rebuild`",
            ) from None

    def _open_journal(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        is_new = not self._journal_path.exists()
        self._descriptor = os.open(self._journal_path, flags, 0o644)
        if is_new:
            self._disk.sync_folder(self._journal_path.parent)
        self._keep_tail()
        os.ftruncate(self._descriptor, self._journal_bytes)

    def _keep_tail(self) -> None:
        """What is cut off a journal holds no promise, but it is not ours to destroy unseen."""
        with self._journal_path.open("rb") as file:
            file.seek(self._journal_bytes)
            tail = file.read()
        if b"\n" in tail:
            name = f"journal.damaged-{now_iso().replace(':', '')}"
            self._disk.write_atomic(self._journal_path.with_name(name), tail)

    def apply(self, change: Change) -> None:
        """Make a change true in memory alone."""
        match change:
            case PutEntry(entry):
                self.entries[entry.key] = entry
                self.failures.pop(entry.key, None)
            case DropEntry(key):
                self.entries.pop(key, None)
            case PutFailure(failure):
                self.failures[failure.key] = failure
            case DropFailure(key):
                self.failures.pop(key, None)

    def _as_document(self) -> Iterator[bytes]:
        """The document, piece by piece: at 100,000 assets it has 100 MB."""
        head = {"format": FORMAT, "version": VERSION, "written": now_iso()}
        yield msgspec.json.encode(head)[:-1]
        yield b',\n"assets":'
        yield from _one_a_line(self.entries)
        yield b',\n"failures":'
        yield from _one_a_line(self.failures)
        yield b"}\n"

    def _as_sums(self) -> Iterator[bytes]:
        """`sha256sum`'s own format; our paths hold nothing that it would escape."""
        stored = {
            file.path: file.sha256 for entry in self.entries.values() for file in entry.files()
        }
        return (f"{stored[path]}  {path}\n".encode() for path in sorted(stored))


def _newer_version(data: bytes) -> int | None:
    """The version of a manifest that is newer than this program; None for anything else."""
    try:
        head = msgspec.json.decode(data, type=_Head)
    except NOT_JSON:
        return None
    return head.version if head.format == FORMAT and head.version > VERSION else None


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from the one that takes its place."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _one_a_line(records: Mapping[str, Entry | Failure]) -> Iterator[bytes]:
    encode = msgspec.json.encode
    between = b"{\n"
    for key, record in records.items():
        yield b"%s%s:%s" % (between, encode(key), encode(record))
        between = b",\n"
    yield b"\n}" if records else b"{}"


def _with_twins(records: dict[str, R], twin: type[R]) -> dict[str, R]:
    """The records, those as twins whose keys say so; nearly always there are none."""
    for key in [key for key in records if key.count("@") > 1]:
        if records[key].key != key:
            records[key] = _as(twin, records[key])
    return records


def _as(twin: type[R], record: R) -> R:
    return twin(**msgspec.structs.asdict(record))


def _line(change: Change) -> bytes:
    match change:
        case PutEntry(TwinEntry()) | PutFailure(TwinFailure()):
            change = msgspec.structs.replace(change, is_twin=True)
    # Line breaks can only stand between JSON's tokens: a manifest that was edited by hand has them.
    data = msgspec.json.encode(change).replace(b"\n", b" ")
    return b"%08x %s\n" % (zlib.crc32(data), data)


def _parsed(line: bytes) -> Change | None:
    """The change on a line of the journal, or None if the line is not whole."""
    checksum, _, data = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(data):
        return None
    try:
        change: Change = _change_decoder.decode(data)
    except NOT_JSON:
        return None
    match change:
        case PutEntry(entry, is_twin=True):
            return PutEntry(_as(TwinEntry, entry))
        case PutFailure(failure, is_twin=True):
            return PutFailure(_as(TwinFailure, failure))
    return change
