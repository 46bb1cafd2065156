"""The trash of a bucket: what each `prune` moved, and the entries that the files belonged to."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Set

import msgspec

from mirror.clock import now_iso
from mirror.models import NOT_JSON, Entry
from mirror.storage import layout
from mirror.storage.bucket_files import BucketFiles
from mirror.storage.securing import disturbed

_TOP = f"{layout.PRIVATE_FOLDER}/trash/"
_ENTRIES, _UNFINISHED = layout.TRASH_RECORDS


class BucketTrash:
    """The part of a bucket with a folder for each `prune`.

    Args:
        files: the bucket's.
        read: gives the content of a document.
        write: replaces a document.
    """

    def __init__(
        self,
        files: BucketFiles,
        *,
        read: Callable[[str], bytes],
        write: Callable[[str, bytes], None],
    ) -> None:
        self._files = files
        self._read = read
        self._write = write

    def new_name(self) -> str:
        """A name for what one `prune` moves."""
        now = now_iso().replace(":", "")
        taken = {_name_in(path) for path in self._files.below(_TOP)}
        names = (f"{now}-{number}" if number > 1 else now for number in itertools.count(1))
        return next(name for name in names if name not in taken)

    def add(self, paths: Iterable[str], name: str, records: Iterable[bytes]) -> None:
        """Give objects a second name, with the entries that they belonged to.

        Raises:
            DiskError: the bucket fails, or somebody else is at work here.
        """
        for path in paths:
            if not self._files.copy(path, layout.trash_path(path, name)):
                raise disturbed(self._files.location(path))
        record = layout.trash_path(_UNFINISHED, name)
        before = self._read(record) if self._files.facts(record) is not None else b""
        self._write(record, before + b"".join(line + b"\n" for line in records))
        self._files.look_again(record)

    def finish(self, name: str) -> None:
        """Give the records their final name, beside which no old name is left."""
        old, new = (layout.trash_path(it, name) for it in (_UNFINISHED, _ENTRIES))
        self._write(new, self._read(old))
        self._files.look_again(new)
        self._files.remove(old)

    def unfinished(self) -> Set[str]:
        """The names of each `prune` whose records have not their final name."""
        return {_name_in(path) for path in self._records() if path.endswith(f"/{_UNFINISHED}")}

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every entry that is in the trash, with the name of its `prune`."""
        for path in self._records():
            for line in self._read(path).splitlines():
                with contextlib.suppress(*NOT_JSON):
                    yield _name_in(path), msgspec.json.decode(line, type=Entry)

    def delete(self, names: Iterable[str]) -> None:
        """Delete what each of these has moved, for good."""
        for name in names:
            for path in self._files.below(f"{_TOP}{name}/"):
                self._files.remove(path)

    def _records(self) -> list[str]:
        return sorted(
            path
            for path in self._files.below(_TOP)
            if path.removeprefix(f"{_TOP}{_name_in(path)}/") in layout.TRASH_RECORDS
        )


def _name_in(path: str) -> str:
    """The name of the `prune` that moved an object."""
    return path.removeprefix(_TOP).partition("/")[0]
