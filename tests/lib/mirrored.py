"""What a mirror looks like after a run: its manifest, its files, and checks of both."""

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.storage.root import Root
from tests.lib.library import TOKEN, Library

PRIVATE = ".kling-mirror"
HISTORY = f"{PRIVATE}/history/"
_UNNOTED = ("runs.jsonl", "verified.json", "lock", "lock.json")


def folder_of(root: Root) -> Path:
    """The folder of a root that is in none of an object store's buckets."""
    assert isinstance(root.dest, Path)
    return root.dest


def manifest_of(dest: Path) -> dict[str, Any]:
    """`manifest.json`."""
    found: dict[str, Any] = json.loads((dest / "manifest.json").read_text())
    return found


def entry_of(dest: Path, item: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest's entry of an item as it is listed now."""
    found: dict[str, Any] = manifest_of(dest)["assets"][key_of(item)]
    return found


def key_of(item: Mapping[str, Any]) -> str:
    """The key of an item as it is listed now."""
    return f"{item['id']}@{item['updateTime']}"


def path_of(dest: Path, item: Mapping[str, Any], role: str = "resource") -> str:
    """Where the manifest says that a file of an item is."""
    path: str = entry_of(dest, item)[role]["path"]
    return path


def states_of(dest: Path) -> dict[str, str]:
    """The state of each entry."""
    return {key: entry["state"] for key, entry in manifest_of(dest)["assets"].items()}


def stored_of(dest: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every file that the manifest records, after the entry that it belongs to."""
    entries = manifest_of(dest)["assets"].values()
    return [
        (entry, entry[role]) for entry in entries for role in ("resource", "cover") if entry[role]
    ]


def snapshot(dest: Path) -> dict[str, str]:
    """The SHA-256 of every file in the tree, but for the lock and what `status` reads of runs."""
    return {
        path.relative_to(dest).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(dest.rglob("*"))
        if path.is_file() and path.name not in _UNNOTED
    }


def media_in(dest: Path) -> set[str]:
    """The paths of all files in the tree that are not the program's own."""
    own = ("manifest.json", "manifest.json.bak", "SHA256SUMS")
    return {
        path for path in snapshot(dest) if path not in own and not path.startswith(".kling-mirror/")
    }


def in_history(dest: Path) -> dict[str, bytes]:
    """Every file in `history/`, by its path."""
    folder = dest / HISTORY
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def left_over(dest: Path) -> list[Path]:
    """The bytes of files that are still on their way."""
    return [path for path in (dest / ".kling-mirror/partial").glob("*") if path.suffix != ".json"]


def check_output(out: str, err: str) -> None:
    """See that what the program said is fit for a person: short errors, no secret, no traceback."""
    for shown in (out, err):
        assert TOKEN not in shown
        assert "Traceback" not in shown
        assert "x-kcdn-pid" not in shown, "the query of a URL may be a secret"
    for message in re.split(r"^(?=kling-mirror: )", err, flags=re.MULTILINE):
        lines = message.splitlines()
        assert len(lines) <= 3, message
        assert all(line.startswith("  ") for line in lines[1:]), message


def check_mirror(dest: Path, library: Library) -> None:
    """See that the mirror is what the library is: each file's bytes, each record, each sum."""
    listed = {key_of(item): item for items in library.accounts.values() for item in items}
    assets = manifest_of(dest)["assets"]
    assert {key for key, entry in assets.items() if entry["state"] == "current"} == set(listed)
    assert manifest_of(dest)["failures"] == {}
    for key, item in listed.items():
        for role in ("resource", "cover"):
            path = item[role]["resource"].partition("?")[0]
            stored = assets[key][role]
            assert (stored is None) == (not path), (key, role)
            if path:
                assert (dest / stored["path"]).read_bytes() == library.files[path].body, (key, role)
    check_records(dest)
    current = {
        stored["path"] for entry, stored in stored_of(dest) if entry["state"] != "superseded"
    }
    assert media_in(dest) == current
    assert left_over(dest) == []


def check_records(dest: Path) -> None:
    """See that all that is recorded is true: size, SHA-256, and the line in SHA256SUMS."""
    lines = (dest / "SHA256SUMS").read_text().splitlines()
    sums = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    for _, stored in stored_of(dest):
        body = (dest / stored["path"]).read_bytes()
        digest = hashlib.sha256(body).hexdigest()
        recorded = (stored["size"], stored["sha256"], sums[stored["path"]])
        assert recorded == (len(body), digest, digest), stored["path"]
    assert set(sums) == {stored["path"] for _, stored in stored_of(dest)}


def check_sums(dest: Path) -> None:
    """Check SHA256SUMS as a user would, without this program."""
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=dest, check=True)  # noqa: S607
