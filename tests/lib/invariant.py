"""What the fault tests share: the invariant, read off a mirror as it lies, and runs to cut short.

The structs here are the contract's shape of `manifest.json`, written down a second time on
purpose: `mirror.models` may not be its own judge.
"""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from mirror.models import Entry
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


def check_invariant(dest: Path, served: Served | None = None) -> dict[str, Entry]:
    """Assert that nothing is promised that is not there, with nobody having repaired anything.

    Args:
        dest: the mirror's root; no run is at work on it.
        served: what the service has offered; with it, files that no entry names are judged too.

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
    for entry in manifest.entries.values():
        _check_entry(dest, entry)
    if served is not None:
        _check_tree(dest, served)
    return manifest.entries


def check_nothing_lost(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> None:
    """Assert that every version that was once promised is promised still, byte for byte."""
    for key, old in before.items():
        assert key in after, f"{key} was recorded and is forgotten"
        new = after[key]
        for role in ("resource", "cover"):
            was, now = getattr(old, role), getattr(new, role)
            assert was is None or (now is not None and now.sha256 == was.sha256), f"{key}: {role}"


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


def _check_entry(dest: Path, entry: Entry) -> None:
    assert entry.resource is not None, f"{entry.key} ({entry.state}) has no resource"
    for stored in entry.files():
        parts = stored.path.split("/")
        assert not {"", ".", ".."} & set(parts), stored.path
        assert (parts[:2] == [PRIVATE, "history"]) == (entry.state == "superseded"), stored.path
        path = dest / stored.path
        assert path.is_file(), f"{entry.key} ({entry.state}): {stored.path} is not there"
        assert not path.is_symlink(), stored.path
        assert path.stat().st_size == stored.size, f"{entry.key}: {stored.path} has another size"
        assert sha256_of(path) == stored.sha256, f"{entry.key}: {stored.path} has other bytes"


def _check_tree(dest: Path, served: Served) -> None:
    """Files without an entry may lie there after a crash, but whole ones, of the right asset."""
    history = [
        path
        for path in files_below(dest / PRIVATE / "history")
        if not (path.name.startswith(".") and path.name.endswith(".tmp"))
    ]
    tree = [path for folder in TYPE_FOLDERS for path in files_below(dest / folder)]
    for path in tree + history:
        found = _ID.search(path.name)
        assert found, f"{path} is none of our names"
        assert served.has(found[0], sha256_of(path)), f"{path} has bytes that nobody ever served"
