"""What may happen to a file of a mirror behind its back."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Finished


def flip(path: Path) -> None:
    """Flip one bit in the middle; size and times stay."""
    found = path.stat()
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "missing"),
    "flipped": (flip, "damaged"),
    "truncated": (lambda path: os.truncate(path, 100), "damaged"),
    "emptied": (lambda path: os.truncate(path, 0), "damaged"),
    "longer": (lambda path: os.truncate(path, 5000), "damaged"),
}
"""Each kind of damage, and the word that `verify` has for it."""
UNREADABLE: dict[str, Callable[[Path], object]] = {"a folder": _folder, "a loop": _loop}
"""What may lie where a file should, and cannot be read as one."""


def wrong_files(done: Finished) -> dict[str, str]:
    """What is wrong, by path."""
    findings = json.loads(done.out)["wrong"]
    assert all(set(each) == {"id", "updateTime", "role", "path", "problem"} for each in findings)
    return {each["path"]: each["problem"] for each in findings}
