"""What lies in the mirror's folder, by hash: who wrote it does not matter."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

PRIVATE = ".kling-mirror"
_OWN = re.compile(r"\.?(manifest\.json|manifest\.json\.bak|SHA256SUMS)(\.tmp)?")

_NOTED = ("/lock", "/lock.json", "/.lock.json.tmp", "/verified.json")


@dataclass
class Folder:
    """The files of a mirror by path below its root, each with its hash.

    Attributes:
        tree: what a person sees.
        history: earlier versions.
        trash: what was pruned.
        partial: complete files that have not been placed yet.
        loose: other files on their way, for which nothing vouches.
        own: the manifest and what else the program keeps for itself.
    """

    tree: dict[str, str] = field(default_factory=dict)
    history: dict[str, str] = field(default_factory=dict)
    trash: dict[str, str] = field(default_factory=dict)
    partial: dict[str, str] = field(default_factory=dict)
    loose: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)

    def lacking(self, recorded: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of some recorded files, by path and hash, that are not here as recorded."""
        here = {*self.tree.items(), *self.history.items()}
        return recorded - here

    def places(self, sha256: str) -> list[str]:
        """Where these bytes lie."""
        everywhere = {**self.tree, **self.history, **self.trash, **self.partial}
        return sorted(path for path, found in everywhere.items() if found == sha256)

    def everything(self) -> dict[str, str]:
        """All files, but for the lock and what `verify` notes for `status`."""
        all_ = {**self.tree, **self.history, **self.trash, **self.partial, **self.loose, **self.own}
        return {path: it for path, it in all_.items() if not path.endswith(_NOTED)}

    def hashes(self) -> set[str]:
        """Of everything that may be an asset's, or somebody's own."""
        return {*self.kept(), *self.trash.values()}

    def kept(self) -> set[str]:
        """The same without the trash."""
        return {*self.tree.values(), *self.history.values(), *self.partial.values()}


def look(dest: Path) -> Folder:
    """Read the folder; nothing where there is none."""
    found = Folder()
    for path in _files(dest):
        name = path.relative_to(dest).as_posix()
        parts = name.split("/")
        if parts[0] != PRIVATE:
            (found.own if _OWN.fullmatch(name) else found.tree)[name] = _sha256(path)
        elif parts[1] == "history":
            found.history[name] = _sha256(path)
        elif parts[1] == "trash":
            if parts[-1] != "entries.jsonl":
                found.trash[name] = _sha256(path)
        elif parts[1] == "partial":
            (found.partial if _is_complete(path) else found.loose)[name] = _sha256(path)
        else:
            found.own[name] = _sha256(path)
    return found


def _files(dest: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(dest):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_complete(path: Path) -> bool:
    """Whether a note vouches for all of a partial file."""
    try:
        note = msgspec.json.decode(path.with_name(f"{path.name}.json").read_bytes())
        whole = note["complete"] and note["sha256"] == _sha256(path)
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return bool(whole)
