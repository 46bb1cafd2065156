r"""Promises: what is about to be placed, written down first, so that no crash loses a file.

Between the moment in which a file's bytes are complete and the one in which its entry is recorded,
a run may be killed. What it was about to record stands here, with the names of the partial files,
and the next run that opens the root to change it finishes that (see `placing`).

The file lies beside the spool, is appended to before files are placed, and is emptied once all that
it says is recorded. Its lines have the journal's form.
"""

import io
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from mirror.models import NOT_JSON, Entry, Role, TwinEntry
from mirror.storage.appended import AppendedFile
from mirror.storage.durable import Disk
from mirror.storage.journal import as_twin, framed, unframed

_LONGEST_BYTES = 16 << 20


class Promise(Struct, frozen=True):
    """An entry that is to be recorded once its files are in their places.

    Attributes:
        entry: as it is to be.
        partials: the names of the files' partial files, by role.
        replaces: keys of the entries that it makes superseded.
        is_twin: whether the entry is a `TwinEntry`.
    """

    entry: Entry
    partials: Mapping[Role, str]
    replaces: Sequence[str]
    is_twin: bool = False


class Promises:
    """The promises that are not kept yet.

    Args:
        path: the file.
        disk: takes the durable steps.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self._file = AppendedFile(path, disk)
        self._open: dict[str, tuple[frozenset[str], bytes]] = {}
        self._bytes = 0
        self._changing = threading.Lock()

    def read(self) -> list[Promise]:
        """The promises that an earlier run did not keep; to be called before anything is added.

        Raises:
            OSError: the file cannot be read.
        """
        data = self._file.read()
        self._bytes = len(data)
        found = {}
        for line in io.BytesIO(data):
            promise = _parsed(line)
            if promise is not None:
                found[promise.entry.key] = promise
                self._open[promise.entry.key] = frozenset(promise.partials.values()), line
        return list(found.values())

    def add(self, promises: Iterable[Promise]) -> None:
        """Write promises down, not yet durable.

        Raises:
            OSError: the disk fails; nothing was written.
        """
        added = {it.entry.key: (frozenset(it.partials.values()), framed(it)) for it in promises}
        data = b"".join(line for _, line in added.values())
        with self._changing:
            self._file.append(data, at=self._bytes, durably=False)
            self._bytes += len(data)
            self._open |= added

    def sync(self) -> None:
        """Make durable what was written down.

        Raises:
            OSError: the disk fails.
        """
        self._file.sync()

    def settle(self, partials: Mapping[str, Iterable[str]]) -> None:
        """Forget promises: they are kept, or given up.

        A power cut may bring some back; they are found to be kept then.

        Args:
            partials: by an entry's key, the names of the partial files that are settled; a promise
                that was made of more meanwhile stays.

        Raises:
            OSError: the disk fails.
        """
        with self._changing:
            for key, names in partials.items():
                if key in self._open and self._open[key][0] <= {*names}:
                    del self._open[key]
            if self._bytes > _LONGEST_BYTES and self._open:  # some stay open for long
                data = b"".join(line for _, line in self._open.values())
                self._file.replace(data)
                self._bytes = len(data)
            elif self._bytes and not self._open:
                self._file.empty(at=self._bytes, durably=False)
                self._bytes = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _parsed(line: bytes) -> Promise | None:
    """The promise on a line; None if the line is not whole, or says nothing to this version."""
    data = unframed(line)
    try:
        promise = msgspec.json.decode(data or b"", type=Promise)
    except NOT_JSON:
        return None
    if promise.is_twin:
        return msgspec.structs.replace(promise, entry=as_twin(TwinEntry, promise.entry))
    return promise
