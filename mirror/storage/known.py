"""The roots that this user has mirrored to, remembered outside of them."""

import contextlib
from pathlib import Path

import msgspec

from mirror.errors import DiskError
from mirror.models import NOT_JSON
from mirror.places import Place
from mirror.storage.durable import Disk
from mirror.text import decodable


class KnownRoots:
    """The memory of roots.

    An empty folder where a mirror has been means that its volume is not mounted: filling the mount
    point would be a second, wrong mirror on the wrong disk.

    Args:
        folder: the user's state folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "roots.json"

    def __contains__(self, dest: Place) -> bool:
        return decodable(dest.resolve()) in self._read()

    def add(self, dest: Place, root_id: str) -> None:
        """Remember a root. A state folder that cannot be written costs only this protection."""
        known = self._read()
        name = decodable(dest.resolve())
        if known.get(name) == root_id:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            Disk().write_atomic(self._path, msgspec.json.encode({**known, name: root_id}))

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except (OSError, *NOT_JSON):
            return {}


def missing_root(dest: Place) -> DiskError:
    """The error for a root that is not where it should be."""
    return DiskError(
        "the mirror is missing: is its disk mounted?",
        where=str(dest),
        hint="mount the disk; if you moved the mirror, set `dest` to its new place; to begin "
        f"a new mirror, run `kling-mirror init --dest {dest}`",
    )
