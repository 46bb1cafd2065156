"""The trash of a folder: what each `prune` moved, and the entries that the files belonged to."""

import contextlib
import itertools
import shutil
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path

import msgspec

from mirror.clock import now_iso
from mirror.models import NOT_JSON, Entry
from mirror.storage import layout
from mirror.storage.durable import Disk, append_to, read_file

_ENTRIES, _UNFINISHED = layout.TRASH_RECORDS


class TrashFolder:
    """A folder with a folder for each `prune`. Its methods raise OSError where the disk fails.

    Args:
        folder: the trash; it need not exist yet.
        disk: takes the durable steps.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk

    def new_name(self) -> str:
        """A name for what one `prune` moves."""
        now = now_iso().replace(":", "")
        names = (f"{now}-{number}" if number > 1 else now for number in itertools.count(1))
        return next(name for name in names if not (self._folder / name).exists())

    def add(self, targets: Mapping[Path, Path], name: str, records: Iterable[bytes]) -> None:
        """Give files a durable second name, with the entries that they belonged to.

        Args:
            targets: the second name of each file, in a folder that is there.
            name: of this `prune`; its folder is there.
            records: JSON of the entries.
        """
        for path, target in targets.items():
            self._disk.keep_copy(path, target)
        unfinished = self._folder / name / _UNFINISHED
        with append_to(unfinished) as file:
            file.writelines(record + b"\n" for record in records)
            file.flush()
            self._disk.sync(file.fileno(), unfinished)

    def finish(self, name: str) -> None:
        """Give the records their final name, beside which no old name is left."""
        folder = self._folder / name
        self._disk.rename(folder / _UNFINISHED, folder / _ENTRIES)
        self._disk.sync_folder(folder)

    def unfinished(self) -> Set[str]:
        """The names of each `prune` whose records have not their final name."""
        return {record.parent.name for record in self._unfinished()}

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every entry that is in the trash, with the name of its `prune`."""
        for record in sorted([*self._folder.glob(f"*/{_ENTRIES}"), *self._unfinished()]):
            for line in read_file(record).splitlines():
                with contextlib.suppress(*NOT_JSON):
                    yield record.parent.name, msgspec.json.decode(line, type=Entry)

    def delete(self, names: Iterable[str]) -> None:
        """Delete what each of these has moved, for good."""
        for name in names:
            part = self._folder / name
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)

    def _unfinished(self) -> Iterator[Path]:
        return self._folder.glob(f"*/{_UNFINISHED}")
