"""What the files of a root show about a manifest that may be older than they are.

`manifest.json` with its journal knows every version. A backup does not: since it was written, a
later version may have taken an asset's place. The earlier one is in history then, and `SHA256SUMS`,
which is written after each manifest, has the later one's hash.

    the file at a recorded path                                       is
    ───────────────────────────                                       ──
    has the recorded bytes                                            right
    is not there                                                      absent
    other bytes: the manifest is no backup                            damaged
    other bytes: a later version is recorded at the same path         outrun
    other bytes: the sums say what is recorded                        damaged
    other bytes: the sums say something else; of the entry's time     renewed: fetched again since
    other bytes: the sums say something else; of another time         outrun
    other bytes: no sums; the recorded ones are in history            outrun, unless of its time
    other bytes: else                                                 damaged
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Literal

import msgspec

from mirror.models import ROLES, Entry, Role, StoredFile
from mirror.progress import Progress
from mirror.stopping import Stop
from mirror.storage.hashing import hash_file
from mirror.storage.interface import Found, Storage
from mirror.storage.journal import Change, DropEntry, PutEntry
from mirror.storage.layout import composed

Fate = Literal["right", "absent", "damaged", "renewed", "outrun"]

_TIMES_DIFFER_MS = 2000
"""FAT keeps times in steps of two seconds."""


class Files:
    """The files in the tree and in history; each file is hashed once, when its hash is needed.

    Attributes:
        found: by path.
    """

    def __init__(self, storage: Storage, progress: Progress, stop: Stop) -> None:
        self.found: dict[str, Found] = {}
        self._kept: dict[int, list[str]] = defaultdict(list)
        for found in storage.walk("tree"):
            self.found[composed(found.path)] = found
        for found in storage.walk("history"):
            self.found[composed(found.path)] = found
            self._kept[found.size].append(composed(found.path))
        self._storage = storage
        self._progress = progress
        self._stop = stop
        self._hashes: dict[str, str | None] = {}

    def sha256(self, path: str) -> str | None:
        """A file's hash; None where there is none, or it cannot be read."""
        if path not in self._hashes:
            self._hashes[path] = self._hash(path)
        return self._hashes[path]

    def in_history(self, stored: StoredFile) -> str | None:
        """The path of a file in history that has these bytes, or None."""
        paths = self._kept.get(stored.size, ())
        return next((path for path in paths if self.sha256(path) == stored.sha256), None)

    def time_ms(self, path: str) -> int:
        """When a file was changed, epoch milliseconds."""
        return self._storage.time_ms(self.found[path])

    def _hash(self, path: str) -> str | None:
        found = self.found.get(path)
        if found is None or not found.is_file:
            return None
        try:
            return hash_file(self._storage.open(found.path), on_chunk=self._on_chunk).sha256
        except OSError:
            return None

    def _on_chunk(self, count: int) -> None:
        self._stop.check()
        self._progress.received(count)


class Comparison:
    """Compares recorded entries with the files.

    Args:
        files: what is there.
        entries: what is recorded.
        sums: hashes by path, of `SHA256SUMS`.
        trashed: the keys of entries that are in the trash.
        is_backup: whether the files may have outrun the entries.

    Attributes:
        missing: recorded paths where no file is.
        damaged: recorded paths whose files are damaged.
    """

    def __init__(
        self,
        files: Files,
        entries: Iterable[Entry],
        *,
        sums: Mapping[str, str],
        trashed: Set[str],
        is_backup: bool,
    ) -> None:
        self.missing: list[str] = []
        self.damaged: list[str] = []
        self._files = files
        self._entries = list(entries)
        self._sums = sums
        self._trashed = trashed
        self._is_backup = is_backup
        self._latest: dict[str, int] = {}
        for entry in self._entries:
            for stored in entry.files():
                latest = self._latest.get(stored.path, entry.update_time_ms)
                self._latest[stored.path] = max(latest, entry.update_time_ms)

    def changes(self) -> Iterator[Change]:
        """The changes after which every entry agrees with its files."""
        for entry in self._entries:
            fates: dict[Role, Fate] = {
                role: self.fate(entry, stored)
                for role in ROLES
                if (stored := entry.file(role)) is not None
            }
            if set(fates.values()) == {"right"}:
                continue
            if entry.key in self._trashed and set(fates.values()) == {"absent"}:
                yield DropEntry(entry.key)  # pruned: its bytes are in the trash
            elif self._is_past(entry, fates):
                yield self._superseded(entry)
            else:
                yield from self._kept(entry, fates)

    def fate(self, entry: Entry, stored: StoredFile) -> Fate:
        """The state of a recorded file, by the table above."""
        path, files = stored.path, self._files
        if path not in files.found:
            return "absent"
        if files.sha256(path) == stored.sha256:
            return "right"
        if not self._is_backup or entry.state == "superseded":
            return "damaged"
        if entry.update_time_ms < self._latest[path]:
            return "outrun"
        is_of_its_time = abs(files.time_ms(path) - entry.update_time_ms) <= _TIMES_DIFFER_MS
        if path in self._sums and self._sums[path] != stored.sha256:
            return "renewed" if is_of_its_time else "outrun"
        is_in_history = path not in self._sums and files.in_history(stored) is not None
        return "outrun" if is_in_history and not is_of_its_time else "damaged"

    def _is_past(self, entry: Entry, fates: Mapping[Role, Fate]) -> bool:
        """Whether a later version took the asset's place: at the same path, or at another."""
        if fates.get("resource") == "outrun":
            return True
        may_be = self._is_backup and entry.state == "current"
        is_absent = may_be and fates.get("resource") == "absent"
        return is_absent and self._in_history(entry.resource) is not None

    def _superseded(self, entry: Entry) -> Change:
        """The entry of an earlier version, by its bytes in history; without them there is none."""
        kept = {role: self._in_history(entry.file(role)) for role in ROLES}
        if kept["resource"] is None:
            self.missing += [stored.path for stored in entry.files()]
            return DropEntry(entry.key)
        return PutEntry(msgspec.structs.replace(entry, state="superseded", gone_since=None, **kept))

    def _in_history(self, stored: StoredFile | None) -> StoredFile | None:
        path = None if stored is None else self._files.in_history(stored)
        if stored is None or path is None:
            return None
        return msgspec.structs.replace(stored, path=path)

    def _kept(self, entry: Entry, fates: Mapping[Role, Fate]) -> Iterator[Change]:
        """The entry, with the hash of `SHA256SUMS` where that is newer."""
        for role, fate in fates.items():
            stored = entry.file(role)
            if stored is None or fate == "right":
                continue
            if fate == "absent":
                self.missing.append(stored.path)
            elif fate == "renewed":
                found = self._files.found[stored.path]
                known = msgspec.structs.replace(
                    stored, sha256=self._sums[stored.path], size=found.size, etag=None
                )
                entry = msgspec.structs.replace(entry, **{role: known})
                yield PutEntry(entry)
                stored = known
            if fate != "absent" and self._files.sha256(stored.path) != stored.sha256:
                self.damaged.append(stored.path)
