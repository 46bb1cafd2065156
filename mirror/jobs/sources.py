"""The folder that `import` looks into: which of its files may be which asset's.

It may be another mirror of this program, then its manifest is asked first; any other folder's files
have names at the best. Links, hidden files and what a NAS puts beside them are left alone.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from mirror.errors import MirrorError
from mirror.jobs.matching import ByName
from mirror.models import Action, Entry, Role, StoredFile
from mirror.places import Place
from mirror.stopping import Stop
from mirror.storage import media
from mirror.storage.hashing import hash_file
from mirror.storage.layout import OUR_NAMES, is_of_others
from mirror.storage.manifest import NAME
from mirror.storage.root import Root


class Sources:
    """The files of a folder.

    Reads names and sizes, and those files whose length is the one of a mirrored file.

    Args:
        folder: absolute.
        dest: the mirror's root, which is left out where it lies in the folder.
        actions: what is wanted.
        mirrored: what the mirror has.
        stop: ends the work when it is set.

    Attributes:
        sizes: of every file, by path.
        mirrored: the files whose very bytes the mirror has already.
        trouble: why the folder's own manifest is of no use, or None.

    Raises:
        Interrupted: stopped.
    """

    def __init__(
        self,
        folder: Path,
        *,
        dest: Place,
        actions: Iterable[Action],
        mirrored: Iterable[Entry],
        stop: Stop,
    ) -> None:
        self.trouble: MirrorError | None = None
        self._folder = folder
        self._manifest = Root(folder).manifest
        is_mirror = (folder / NAME).is_file()
        if is_mirror:
            try:
                self._manifest.load()
            except MirrorError as error:
                self.trouble = error
        left_out = {folder / name for name in OUR_NAMES} if is_mirror else set()
        self.sizes = dict(_files(folder, left_out | ({dest} if isinstance(dest, Path) else set())))
        known = {(stored.size, stored.sha256) for entry in mirrored for stored in entry.files()}
        known_sizes = {size for size, _ in known}
        self.mirrored = {
            path
            for path, size in self.sizes.items()
            if size in known_sizes and (size, _sha256(path, stop)) in known
        }
        by_name = ByName(self.sizes)
        self._named = {
            (action.asset.key, role): by_name.candidates(action.asset, role)
            for action in actions
            for role in action.fetch
        }
        told_apart = {path for paths in self._named.values() for path in paths} | self.mirrored
        self._nameless: dict[int, list[Path]] = defaultdict(list)
        for path, size in self.sizes.items():
            if path not in told_apart and _is_media(path):
                self._nameless[size].append(path)

    def recorded(self, key: str, role: Role) -> tuple[Path, StoredFile] | None:
        """The file that the folder's own manifest has for an asset.

        An entry that was made of a file alone has no URL, and proves nothing.
        """
        entry = self._manifest.entries.get(key)
        stored = entry.file(role) if entry is not None else None
        if stored is None or not stored.url:
            return None
        path = self._folder / stored.path
        if not path.is_file() or not path.resolve().is_relative_to(self._folder.resolve()):
            return None
        return path, stored

    def named(self, key: str, role: Role) -> Sequence[Path]:
        """The files whose names say that they may be it, the likeliest first."""
        return self._named.get((key, role), ())

    @property
    def has_nameless(self) -> bool:
        """Whether there are media whose names say nothing."""
        return bool(self._nameless)

    def nameless(self, size: int) -> Sequence[Path]:
        """The media of this size whose names say nothing."""
        return self._nameless.get(size, ())


def _files(folder: Path, left_out: Collection[Path]) -> Iterator[tuple[Path, int]]:
    """Every file that is not empty, and its size."""
    for parent, names, files in os.walk(folder):
        names[:] = sorted(
            name for name in names if not is_of_others(name) and Path(parent, name) not in left_out
        )
        for name in sorted(files):
            path = Path(parent, name)
            if is_of_others(name) or path in left_out:
                continue
            if path.is_file() and not path.is_symlink() and (size := path.stat().st_size):
                yield path, size


def _sha256(path: Path, stop: Stop) -> str | None:
    try:
        return hash_file(path.open("rb"), on_chunk=lambda _: stop.check()).sha256
    except OSError:
        return None


def _is_media(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(media.sniff(file.read(media.HEAD_BYTES)))
    except OSError:
        return False
