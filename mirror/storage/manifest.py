"""`manifest.json` and its journal: what the mirror holds; no crash can make it wrong.

Every change is one line appended to the journal and made durable; the document itself is replaced
once, at the end of a run. Loading reads the document and replays the journal over it. Journal
lines set or delete whole records, so that replaying them again changes nothing: a crash between
replacing the document and emptying the journal is harmless.
"""

import errno
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Raw, Struct

from mirror.clock import now_iso
from mirror.errors import DiskError, ManifestError
from mirror.models import NOT_JSON, Failure, TwinFailure
from mirror.storage.durable import disk_error
from mirror.storage.entries import Entries
from mirror.storage.interface import Storage
from mirror.storage.journal import (
    Change,
    DropEntry,
    DropFailure,
    NewerLineError,
    PutEntry,
    PutFailure,
    as_twin,
    decoded,
    encoded,
)
from mirror.storage.layout import PRIVATE_FOLDER

FORMAT: Final = "kling-mirror"
VERSION: Final = 1
NAME = "manifest.json"
BACKUP_NAME = "manifest.json.bak"
SUMS_NAME = "SHA256SUMS"
_UPDATE = "update kling-mirror: pip install --upgrade kling-mirror"


class _Document(Struct):
    format: str
    version: int
    assets: dict[str, Raw]
    failures: dict[str, Failure]
    written: str = ""


class _Head(Struct):
    format: str
    version: int


_document_decoder = msgspec.json.Decoder(_Document)


class Manifest:
    """What the mirror holds. Loaded whole; changed only through `record`.

    Args:
        storage: where it is kept.

    Attributes:
        entries: by key.
        failures: by key.
    """

    def __init__(self, storage: Storage) -> None:
        self.entries = Entries()
        self.failures: dict[str, Failure] = {}
        self._storage = storage
        self._journal_bytes = 0

    @property
    def is_compact(self) -> bool:
        """Whether `manifest.json` has every change, and the journal none."""
        return self._journal_bytes == 0

    def begin(self) -> None:
        """Write an empty manifest where there is none.

        From then on, a missing manifest is noticed as a loss, and the library is not fetched again.
        A `SHA256SUMS` that is there already is somebody else's: it is kept under another name.

        Raises:
            OSError: the disk fails.
        """
        if not any(map(self._storage.document_version, (NAME, BACKUP_NAME))):
            if self._storage.document_version(SUMS_NAME) is not None:
                when = now_iso().replace(":", "")
                self._storage.copy_document(SUMS_NAME, f"{SUMS_NAME}.kept-{when}")
            self._storage.write_document(NAME, self._as_document())

    def load(self, name: str = NAME, *, with_journal: bool = True) -> None:
        """Read the document and the journal.

        An entry that is damaged by hand is found when it is looked at, or by `entries.check`.

        Args:
            name: the document's; the backup's only to rebuild.
            with_journal: False only to rebuild, where the journal cannot be read.

        Raises:
            ManifestError: newer than this program, missing, damaged, or on a bad sector; nothing
                was touched.
            DiskError: it cannot be read.
        """
        while True:
            before = self._storage.document_version(name)
            self.entries, self.failures, self._journal_bytes = Entries(), {}, 0
            self._read_document(name)
            if with_journal:
                self.replay()
            if self._storage.document_version(name) == before:
                return  # else a run has replaced it, and emptied the journal

    def replay(self) -> None:
        """Take in the journal.

        Raises:
            ManifestError: it is of a newer version, or on a bad sector.
            DiskError: it cannot be read.
        """
        try:
            data = self._storage.read_journal()
        except OSError as error:
            where = self._storage.location(f"{PRIVATE_FOLDER}/journal")
            raise _unreadable(error, "journal", where) from None
        try:
            for change, size in decoded(data):
                self.apply(change)
                self._journal_bytes += size
        except NewerLineError as error:
            raise ManifestError(
                f"the journal was written by a newer version of this program: {error}",
                where=self._storage.location(f"{PRIVATE_FOLDER}/journal"),
                hint=_UPDATE,
                is_newer=True,
            ) from None

    def record(self, changes: Iterable[Change]) -> None:
        """Make changes durable in the journal, then true in memory.

        Raises:
            OSError: the journal could not be written; nothing changed in memory.
        """
        changes = list(changes)
        data = encoded(changes)
        if not data:
            return
        self._storage.append_journal(data, at=self._journal_bytes)
        self._journal_bytes += len(data)
        for change in changes:
            self.apply(change)

    def compact(self, *, keep_backup: bool = True) -> None:
        """Write the whole manifest, keep the previous one as backup, and empty the journal.

        Args:
            keep_backup: whether the present document is worth being the backup.

        Raises:
            OSError: the disk fails; the old manifest and the journal stand.
        """
        if keep_backup and self._storage.document_version(NAME) is not None:
            self._storage.copy_document(NAME, BACKUP_NAME)
        self._storage.write_document(NAME, self._as_document())
        self._storage.write_document(SUMS_NAME, self._as_sums())
        self._storage.empty_journal(at=self._journal_bytes)
        self._journal_bytes = 0

    def _document_bytes(self, name: str) -> bytes:
        where = self._storage.location(name)
        try:
            return self._storage.read_document(name)
        except FileNotFoundError:
            raise ManifestError(
                "the manifest is missing from a folder that has been a mirror",
                where=where,
                hint="rebuild it with `kling-mirror verify --rebuild`",
            ) from None
        except OSError as error:
            raise _unreadable(error, "manifest", where) from None

    def _read_document(self, name: str) -> None:
        data = self._document_bytes(name)
        try:
            document = _document_decoder.decode(data)
            if (document.format, document.version) != (FORMAT, VERSION):
                raise msgspec.ValidationError("not a manifest of kling-mirror")
            self.entries = Entries(document.assets, where=self._storage.location(name))
            self.failures = _with_twins(document.failures)
        except NOT_JSON as error:
            if (version := _newer_version(data)) is not None:
                raise ManifestError(
                    f"the manifest is of version {version}, this program knows {VERSION}",
                    where=self._storage.location(name),
                    hint=_UPDATE,
                    is_newer=True,
                ) from None
            raise ManifestError(
                f"the manifest is damaged: {error}",
                where=self._storage.location(name),
                hint="nothing was touched; rebuild it with `kling-mirror verify --rebuild`",
            ) from None

    def apply(self, change: Change) -> None:
        """Apply a change in memory only."""
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
        yield from _one_a_line(self.entries.lines())
        yield b',\n"failures":'
        encode = msgspec.json.encode
        yield from _one_a_line(
            b"%s:%s" % (encode(key), encode(failure)) for key, failure in self.failures.items()
        )
        yield b"}\n"

    def _as_sums(self) -> Iterator[bytes]:
        """`sha256sum`'s own format; our paths hold nothing that it would escape."""
        stored = {
            file.path: file.sha256 for entry in self.entries.values() for file in entry.files()
        }
        return (f"{stored[path]}  {path}\n".encode() for path in sorted(stored))


def _unreadable(error: OSError, what: str, where: str) -> DiskError | ManifestError:
    """The error for a document that cannot be read: one on a bad sector can be rebuilt."""
    if error.errno != errno.EIO:
        return disk_error(error, where)
    return ManifestError(
        f"the {what} cannot be read: the disk reports an error",
        where=where,
        hint="check the disk, then rebuild with `kling-mirror verify --rebuild`",
    )


def _newer_version(data: bytes) -> int | None:
    """The version of a manifest that is newer than this program; None for anything else."""
    try:
        head = msgspec.json.decode(data, type=_Head)
    except NOT_JSON:
        return None
    return head.version if head.format == FORMAT and head.version > VERSION else None


def _one_a_line(lines: Iterable[bytes]) -> Iterator[bytes]:
    between = b"{\n"
    for line in lines:
        yield between + line
        between = b",\n"
    yield b"\n}" if between == b",\n" else b"{}"


def _with_twins(failures: dict[str, Failure]) -> dict[str, Failure]:
    """The failures, those as twins whose keys say so; nearly always there are none."""
    for key in [key for key in failures if key.count("@") > 1]:
        if failures[key].key != key:
            failures[key] = as_twin(TwinFailure, failures[key])
    return failures
