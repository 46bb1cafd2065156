"""What people and bad disks do in a mirror's folder by hand, without asking the program."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.simulation.folder import PRIVATE


def rot(path: Path) -> None:
    """One byte is another."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    _in_place(path, bytes(data))


def cut(path: Path) -> None:
    """The second half is missing."""
    _in_place(path, path.read_bytes()[: path.stat().st_size // 2])


def remove(path: Path) -> None:
    """It is deleted."""
    path.unlink()


def replace_by_folder(path: Path) -> None:
    """A folder lies in its place, with a file in it."""
    path.unlink()
    path.mkdir()
    (path / "notes.txt").write_bytes(os.fsencode(path))


def touch(path: Path) -> None:
    """Its time is another: no harm."""
    os.utime(path, (1_600_000_000, 1_600_000_000))


HARMS: dict[str, Callable[[Path], None]] = {
    "rot": rot,
    "cut": cut,
    "remove": remove,
    "folder": replace_by_folder,
    "touch": touch,
}


def _in_place(path: Path, data: bytes) -> None:
    """Write where the bytes are; a file that shares them is not to change with it."""
    path.unlink()
    path.write_bytes(data)


# The program's own files.

RECORDS = ("manifest.json", "manifest.json.bak", "SHA256SUMS", f"{PRIVATE}/journal")


def lose(dest: Path, name: str) -> None:
    """One of the program's own files is deleted."""
    (dest / name).unlink(missing_ok=True)


def garble(dest: Path, name: str) -> None:
    """One of the program's own files is torn in the middle."""
    path = dest / name
    if path.exists():
        cut(path)


def lend_pid(dest: Path) -> None:
    """A living process has the pid of the run that noted itself last and was killed."""
    path = dest / PRIVATE / "lock.json"
    if path.exists():
        note = json.loads(path.read_bytes())
        path.write_text(json.dumps({**note, "pid": os.getpid()}))


# Files that come, go and come back.


def put(dest: Path, name: str) -> bytes:
    """A file of somebody's own, or a system's, comes to lie in the folder."""
    path = dest / name
    data = f"{name} is mine {path.parent}".encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data


STRANGERS = (
    "notes.txt",
    "video/@eaDir/thumb.jpg",
    "image/.DS_Store",
    f"{PRIVATE}/partial/@eaDir/x@SynoEAStream",
    f"{PRIVATE}/history/.AppleDouble/x",
    f"{PRIVATE}/trash/.DS_Store",
    "other/Thumbs.db",
)


def place_of(trashed: str) -> str:
    """Where a file of the trash was: `.kling-mirror/trash/<time>/video/x` was `video/x`.

    "" for what no `prune` has put there.
    """
    place = "".join(trashed.split("/", 3)[3:])
    return f"{PRIVATE}/{place}" if place.startswith("history/") else place


def copy_file(source: Path, target: Path) -> None:
    """Copy a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def copy(source: Path, target: Path) -> None:
    """Copy a folder whole, in place of what is there."""
    shutil.rmtree(target, ignore_errors=True)
    if source.exists():
        shutil.copytree(source, target, symlinks=True)
