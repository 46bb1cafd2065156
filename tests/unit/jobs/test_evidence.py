"""What became of a recorded file: the table of `evidence`, row by row."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec import Raw

from mirror.jobs.evidence import Comparison, Fate, Files
from mirror.models import Entry, State, StoredFile
from mirror.progress import Progress
from mirror.stopping import Stop
from mirror.storage.journal import DropEntry, PutEntry
from mirror.storage.local import LocalFolder

PATH = "image/x-9100000000000000001.png"
KEPT = ".kling-mirror/history/image/x-9100000000000000001@1000000.png"
TIME_MS = 1_000_000
OLD, NEW, ROTTEN = b"the old bytes", b"the new bytes", b"rotten bytes!"


def sha256(data: bytes) -> str:
    """Hex."""
    return hashlib.sha256(data).hexdigest()


def entry(*, time_ms: int = TIME_MS, data: bytes = OLD, state: State = "current") -> Entry:
    """An entry with one file, at `PATH`."""
    stored = StoredFile(
        path=PATH,
        size=len(data),
        sha256=sha256(data),
        etag=None,
        last_modified=None,
        content_type=None,
        url="http://cdn.example/x",
        fetched="2026-01-01T00:00:00Z",
    )
    return Entry("1", time_ms, None, "image", "x.png", None, state, None, stored, None, Raw(b"{}"))


def put(dest: Path, path: str, data: bytes, time_ms: int = TIME_MS) -> None:
    """A file with a time."""
    (dest / path).parent.mkdir(parents=True, exist_ok=True)
    (dest / path).write_bytes(data)
    os.utime(dest / path, ns=(0, time_ms * 1_000_000))


def judge(
    dest: Path,
    *entries: Entry,
    sums: Mapping[str, bytes] | None = None,
    trashed: tuple[str, ...] = (),
    is_backup: bool = True,
) -> Comparison:
    """A judge over what is in the folder."""
    return Comparison(
        Files(LocalFolder(dest), Progress(), Stop()),
        entries,
        sums={path: sha256(data) for path, data in (sums or {}).items()},
        trashed=set(trashed),
        is_backup=is_backup,
    )


LATER = 9_000_000
ROWS: list[tuple[bytes | None, int, bool, bytes | None, bool, Fate]] = [
    # the file, its time, is it a backup, the sums' bytes, old ones in history: what it is
    (OLD, TIME_MS, True, None, False, "right"),
    (OLD, LATER, True, NEW, False, "right"),
    (None, 0, True, None, False, "absent"),
    (ROTTEN, TIME_MS, False, NEW, True, "damaged"),
    (ROTTEN, LATER, False, NEW, True, "damaged"),
    (ROTTEN, TIME_MS, True, OLD, True, "damaged"),
    (ROTTEN, LATER, True, OLD, True, "damaged"),
    (NEW, TIME_MS, True, NEW, False, "renewed"),
    (ROTTEN, TIME_MS + 1999, True, NEW, False, "renewed"),
    (NEW, LATER, True, NEW, True, "outrun"),
    (ROTTEN, LATER, True, NEW, False, "outrun"),
    (NEW, LATER, True, None, True, "outrun"),
    (ROTTEN, LATER, True, None, False, "damaged"),
    (ROTTEN, TIME_MS, True, None, True, "damaged"),
]


@pytest.mark.parametrize(("data", "time_ms", "is_backup", "sums", "is_kept", "fate"), ROWS)
def test_the_table(
    *,
    tmp_path: Path,
    data: bytes | None,
    time_ms: int,
    is_backup: bool,
    sums: bytes | None,
    is_kept: bool,
    fate: Fate,
) -> None:
    """Each row."""
    if data is not None:
        put(tmp_path, PATH, data, time_ms)
    if is_kept:
        put(tmp_path, KEPT, OLD)
    recorded = entry()
    assert recorded.resource is not None
    found = judge(
        tmp_path, recorded, sums=None if sums is None else {PATH: sums}, is_backup=is_backup
    )
    assert found.fate(recorded, recorded.resource) == fate


def test_of_two_entries_at_one_path_the_earlier_is_outrun(tmp_path: Path) -> None:
    """A backup has the one, the journal over it the other; whatever became of the file."""
    old, new = entry(), entry(time_ms=LATER, data=NEW)
    for data in (NEW, ROTTEN):
        put(tmp_path, PATH, data, LATER)
        put(tmp_path, KEPT, OLD)
        found = judge(tmp_path, old, new)
        assert old.resource is not None
        assert found.fate(old, old.resource) == "outrun"
        [change] = found.changes()
        assert isinstance(change, PutEntry)
        assert change.entry.state == "superseded"
        assert change.entry.resource is not None
        assert change.entry.resource.path == KEPT
        assert found.damaged == ([] if data == NEW else [PATH])


def test_what_was_pruned_is_dropped(tmp_path: Path) -> None:
    """Unless its file is there again."""
    recorded = entry(state="gone")
    found = judge(tmp_path, recorded, trashed=(recorded.key,))
    assert list(found.changes()) == [DropEntry(recorded.key)]
    assert found.missing == []
    put(tmp_path, PATH, OLD)
    assert list(judge(tmp_path, recorded, trashed=(recorded.key,)).changes()) == []


@pytest.mark.parametrize("is_backup", [True, False])
def test_what_is_in_history_alone_was_replaced(tmp_path: Path, *, is_backup: bool) -> None:
    """As far as a backup knows; a manifest knows better: its file is missing."""
    put(tmp_path, KEPT, OLD)
    found = judge(tmp_path, entry(), is_backup=is_backup)
    changes = list(found.changes())
    assert found.missing == ([] if is_backup else [PATH])
    assert len(changes) == is_backup


def test_a_version_whose_bytes_are_nowhere_is_no_entry(tmp_path: Path) -> None:
    """What took its place is right, and nothing is left of it but its name."""
    put(tmp_path, PATH, NEW, LATER)
    found = judge(tmp_path, entry(), sums={PATH: NEW})
    assert list(found.changes()) == [DropEntry(entry().key)]
    assert found.missing == [PATH]


@pytest.mark.parametrize("data", [NEW, ROTTEN])
def test_a_hash_that_the_sums_know_better_is_taken(tmp_path: Path, data: bytes) -> None:
    """The same version was fetched again since the backup; its file may have rotted, too."""
    put(tmp_path, PATH, data)
    found = judge(tmp_path, entry(), sums={PATH: NEW})
    [change] = found.changes()
    assert isinstance(change, PutEntry)
    assert change.entry.resource is not None
    assert change.entry.resource.sha256 == sha256(NEW)
    assert found.damaged == ([] if data == NEW else [PATH])
