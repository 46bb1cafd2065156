"""What the fault tests share: the invariant, read off a mirror as it lies, and runs to cut short.

The structs here are the contract's shape of `manifest.json`, written down a second time on
purpose: `mirror.models` may not be its own judge.
"""

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from mirror.models import ROLES, Entry
from mirror.storage.root import Root
from tests.lib.library import Library

PRIVATE = ".kling-mirror"
TYPE_FOLDERS = ("video", "image", "audio", "other")
_ID = re.compile(r"9\d{18}")

_Time = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$")]
_Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class _File(Struct, forbid_unknown_fields=True):
    path: str
    size: Annotated[int, Meta(ge=1)]
    sha256: _Sha256
    etag: str | None
    last_modified: str | None
    content_type: str | None
    url: Annotated[str, Meta(pattern="^https?://[^?#]+$")]
    fetched: _Time


class _Entry(Struct, forbid_unknown_fields=True):
    id: str
    updateTime: int  # noqa: N815 - the contract's name
    account: str | None
    contentType: str | None  # noqa: N815 - the contract's name
    name: str | None
    createTime: int | None  # noqa: N815 - the contract's name
    state: Literal["current", "superseded", "gone"]
    gone_since: _Time | None
    resource: _File | None
    cover: _File | None
    asset: dict[str, Any]


class _Failure(Struct, forbid_unknown_fields=True):
    id: str
    updateTime: int  # noqa: N815 - the contract's name
    account: str | None
    role: Literal["resource", "cover"]
    error: str
    attempts: Annotated[int, Meta(ge=1)]
    first: _Time
    last: _Time
    name: str | None
    contentType: str | None  # noqa: N815 - the contract's name


class _Document(Struct, forbid_unknown_fields=True):
    format: Literal["kling-mirror"]
    version: Literal[1]
    written: _Time
    assets: dict[str, _Entry]
    failures: dict[str, _Failure]


class Served:
    """Every version of every asset's files that the service has ever offered."""

    def __init__(self) -> None:
        self._hashes: dict[str, set[str]] = defaultdict(set)

    def note(self, library: Library) -> None:
        """Take down what the library offers now; to be called after each change of it."""
        for items in library.accounts.values():
            for item in items:
                for role in ("resource", "cover"):
                    file = library.files.get(item[role]["resource"].partition("?")[0])
                    if file is not None:
                        self._hashes[item["id"]].add(hashlib.sha256(file.body).hexdigest())

    def has(self, asset_id: str, sha256: str) -> bool:
        """Whether these bytes were ever one of the asset's files."""
        return sha256 in self._hashes[asset_id]


def check_invariant(
    dest: Path, served: Served | None = None, *, is_settled: bool = False
) -> dict[str, Entry]:
    """Assert that nothing is promised that is not there, with nobody having repaired anything.

    Where no run was cut off, every file in the tree and in history has its entry, too; a test that
    puts files of its own there gives them names without an asset's id.

    Args:
        dest: the mirror's root; no run is at work on it.
        served: what the service has offered; with it, files are judged that no entry names.
        is_settled: whether a run has come to its end since the last crash, however that ended.

    Returns:
        The manifest's entries, the journal's included.
    """
    path = dest / "manifest.json"
    if not path.exists():
        _check_nothing_promised(dest)
        return {}
    _check_shape(path.read_bytes())
    manifest = Root(dest).manifest
    manifest.load()
    is_cut_off = not manifest.is_compact or _is_promising(dest)
    for entry in manifest.entries.values():
        _check_entry(dest, entry, is_cut_off=is_cut_off)
    named = [stored.path for entry in manifest.entries.values() for stored in entry.files()]
    assert len(named) == len(set(named)), "two entries name one file"
    if served is not None:
        _check_tree(dest, served)
    if is_settled or not is_cut_off:
        for path in (*_tree(dest), *_history(dest)):
            known = path.relative_to(dest).as_posix() in named
            assert known or not _ID.search(path.name), f"{path} has no entry"
    return dict(manifest.entries)


class Witness:
    """Looks at a mirror again and again; what was once recorded or complete must never be lost.

    Attributes:
        entries: the manifest's, at the last look.
    """

    def __init__(self, dest: Path, served: Served) -> None:
        self._dest = dest
        self._served = served
        self._hashes: set[str] = set()
        self.entries: dict[str, Entry] = {}

    def look(self, *, is_settled: bool = False) -> dict[str, Entry]:
        """Assert the invariant, and that nothing is lost since the last look.

        Args:
            is_settled: see `check_invariant`.

        Returns:
            The manifest's entries.
        """
        entries = check_invariant(self._dest, self._served, is_settled=is_settled)
        for key, old in self.entries.items():
            assert key in entries, f"{key} was recorded and is forgotten"
            for role in ROLES:
                was, now = old.file(role), entries[key].file(role)
                assert was is None or (now and now.sha256 == was.sha256), f"{key}: {role}"
        hashes = complete_hashes(self._dest)
        assert self._hashes <= hashes, "complete bytes are in neither tree, history nor trash"
        self.entries, self._hashes = entries, hashes
        return entries


def complete_hashes(dest: Path) -> set[str]:
    """The SHA-256 of all bytes that are worth keeping, wherever they are.

    That is every file in the tree, in history and in the trash, and every partial file that is
    complete and checked, as its note says.
    """
    private = dest / PRIVATE
    kept = (path for name in ("history", "trash") for path in files_below(private / name))
    hashes = {sha256_of(path) for path in (*_tree(dest), *kept)}
    for note in files_below(private / "partial"):
        if note.suffix == ".json" and note.with_suffix("").is_file():
            found = json.loads(note.read_bytes())
            if found["complete"] and sha256_of(note.with_suffix("")) == found["sha256"]:
                hashes.add(found["sha256"])
    return hashes


def files_below(folder: Path) -> Iterator[Path]:
    """Every file and link in the folder and those below it; nothing where there is no folder."""
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def sha256_of(path: Path) -> str:
    """The file's SHA-256, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_nothing_promised(dest: Path) -> None:
    """A crash before the first manifest: there can be no journal and no file yet."""
    assert not (dest / "manifest.json.bak").exists(), "the manifest is lost"
    assert not (dest / PRIVATE / "journal").exists(), "there is a journal, and no manifest"
    assert not [file for folder in TYPE_FOLDERS for file in files_below(dest / folder)]


def _check_shape(data: bytes) -> None:
    document = msgspec.json.decode(data, type=_Document)
    for key, failure in document.failures.items():
        assert key in _keys(failure)
    for key, entry in document.assets.items():
        assert key in _keys(entry)
        assert (entry.gone_since is not None) == (entry.state == "gone"), key


def _keys(record: _Entry | _Failure) -> tuple[str, str]:
    """What a record may be called: where two assets share id and time, one has the longer key."""
    key = f"{record.id}@{record.updateTime}"
    return key, f"{key}@{record.contentType}"


def _is_promising(dest: Path) -> bool:
    """Whether a run was cut off between files that are complete and entries that say so."""
    promised = dest / PRIVATE / "promised"
    return promised.exists() and promised.stat().st_size > 0


def _check_entry(dest: Path, entry: Entry, *, is_cut_off: bool) -> None:
    has_file = entry.resource or (entry.state == "superseded" and entry.cover)
    assert has_file, f"{entry.key} ({entry.state}) has no resource"
    for stored in entry.files():
        parts = stored.path.split("/")
        assert not {"", ".", ".."} & set(parts), stored.path
        is_kept = parts[:2] == [PRIVATE, "history"]
        assert is_kept or entry.state != "superseded", stored.path
        assert not is_kept or entry.state == "superseded" or is_cut_off, stored.path
        path = dest / stored.path
        assert path.is_file(), f"{entry.key} ({entry.state}): {stored.path} is not there"
        assert not path.is_symlink(), stored.path
        assert path.stat().st_size == stored.size, f"{entry.key}: {stored.path} has another size"
        assert sha256_of(path) == stored.sha256, f"{entry.key}: {stored.path} has other bytes"


def _tree(dest: Path) -> list[Path]:
    """What is in the type folders, of the root and of each account."""
    folders = [path for name in TYPE_FOLDERS for path in (dest / name, *dest.glob(f"*@*/{name}"))]
    return [path for folder in folders for path in files_below(folder)]


def _history(dest: Path) -> list[Path]:
    """What is in history, but for names that a crash left half-made."""
    return [
        path
        for path in files_below(dest / PRIVATE / "history")
        if not (path.name.startswith(".") and path.name.endswith(".tmp"))
    ]


def _check_tree(dest: Path, served: Served) -> None:
    """Files without an entry may lie there after a crash, but whole ones, of the right asset."""
    for path in (*_tree(dest), *_history(dest)):
        found = _ID.search(path.name)
        assert found, f"{path} is none of our names"
        assert served.has(found[0], sha256_of(path)), f"{path} has bytes that nobody ever served"
