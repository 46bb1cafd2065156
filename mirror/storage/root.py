"""The root, open: its storage and its manifest, and the lock where something is to be written.

`Root.read` opens it to look only: the manifest is loaded, nothing is locked. `Root.locked` opens
it to change it. `Root.prepared` is for a run: it makes the root first if need be.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Self

from mirror.errors import UsageError
from mirror.places import BucketUrl, Place
from mirror.storage.durable import Disk, disk_errors, free_bytes
from mirror.storage.interface import Storage
from mirror.storage.known import KnownRoots, missing_root
from mirror.storage.local import LocalFolder
from mirror.storage.manifest import Manifest
from mirror.text import counted

if TYPE_CHECKING:
    from mirror.storage.placing import Placer
    from mirror.storage.recovery import Recovery
    from mirror.storage.spool import Spool

AtEnd = Callable[["Root"], None]
"""Called by a job with the root, still open, once its work is done."""


class Root:
    """A mirror's root. Use one of the constructors that its module names.

    Args:
        dest: where the root is; a path is absolute.
        min_free: bytes that must stay free on its disk.
        disk: takes the durable steps; a crash test brings its own.

    Attributes:
        storage: the files in their places.
        manifest: the entries and failures.
    """

    def __init__(self, dest: Place, *, min_free: int = 0, disk: Disk | None = None) -> None:
        self.dest = dest
        self.storage = _storage(dest, disk)
        self.manifest = Manifest(self.storage)
        self._min_free = min_free
        self._disk = disk

    @cached_property
    def spool(self) -> "Spool":
        """The files on their way."""
        from mirror.storage.spool import Spool  # noqa: PLC0415 - for commands that change the root

        return Spool(self.storage.spool_folder, min_free=self._min_free, disk=self._disk)

    @cached_property
    def placer(self) -> "Placer":
        """Brings files from the spool into their places, and on record."""
        from mirror.storage.placing import Placer  # noqa: PLC0415 - as above

        return Placer(self.storage, self.spool, self.manifest)

    @cached_property
    def recovery(self) -> "Recovery":
        """Finishes what an interrupted run began."""
        from mirror.storage.recovery import Recovery  # noqa: PLC0415 - as above

        return Recovery(self.storage, self.spool, self.manifest, self.placer)

    @classmethod
    def read(cls, dest: Place, *, known: KnownRoots | None = None) -> Self:
        """Open a root only to look at it.

        Args:
            dest: as above.
            known: the roots of earlier runs.

        Raises:
            UsageError: there is no mirror.
            ManifestError, DiskError: the manifest cannot be read; or an earlier root is missing.
        """
        root = cls(dest)
        root._require_prepared(known)
        root.manifest.load()
        return root

    @classmethod
    @contextlib.contextmanager
    def locked(
        cls,
        dest: Place,
        *,
        known: KnownRoots | None = None,
        min_free: int = 0,
        disk: Disk | None = None,
        load: bool = True,
    ) -> Iterator[Self]:
        """Open a root that is there, to change it.

        Args:
            dest: as above.
            known: the roots of earlier runs.
            min_free: as above.
            disk: as above.
            load: whether the manifest is read; `verify --rebuild` finds out itself what is left.

        Raises:
            UsageError: there is no mirror.
            LockedError: another run holds the lock.
            ManifestError: the manifest cannot be read; nothing was touched.
            DiskError: the disk fails, here or inside the block.
        """
        root = cls(dest, min_free=min_free, disk=disk)
        root._require_prepared(known)
        with root.opened(load=load):
            yield root

    @classmethod
    @contextlib.contextmanager
    def prepared(
        cls,
        dest: Place,
        *,
        known: KnownRoots,
        min_free: int = 0,
        disk: Disk | None = None,
        create: bool = True,
        dry_run: bool = False,
    ) -> Iterator[Self]:
        """Open a root for a run, and make it first if need be.

        A dry run makes none: where there is none, it sees an empty one.

        Args:
            dest: as above.
            known: the roots of earlier runs.
            min_free: as above.
            disk: as above.
            create: whether a root that is not there may be made.
            dry_run: write nothing but the lock.

        Raises:
            LockedError: another run holds the lock.
            ManifestError: the manifest cannot be read; nothing was touched.
            DiskError: the disk fails, here or inside the block, or is not mounted.
        """
        root = cls(dest, min_free=min_free, disk=disk)
        if not create and not root.storage.is_prepared:
            raise missing_root(dest)
        if dry_run and not root.storage.is_prepared:
            root._require_mounted(known)
            yield root
            return
        root.prepare(known)
        with root.opened():
            yield root

    def prepare(self, known: KnownRoots, *, again: bool = False) -> None:
        """Make the folder a mirror's root, or see that it is one.

        Args:
            known: the roots of earlier runs.
            again: begin a new root even if an earlier root is missing.

        Raises:
            LockedError: another run is making it.
            DiskError: it cannot be, or an earlier root's volume is not mounted.
        """
        with disk_errors(self.dest):
            if not again:
                self._require_mounted(known)
            known.add(self.dest, self.storage.prepare(self.manifest.begin))

    def _require_mounted(self, known: KnownRoots) -> None:
        """See that a root of earlier runs is there."""
        if not self.storage.is_prepared and self.dest in known:
            raise missing_root(self.dest)

    def _require_prepared(self, known: KnownRoots | None) -> None:
        """See that there is a root, for commands that make none."""
        if known is not None:
            self._require_mounted(known)
        if not self.storage.is_prepared:
            raise UsageError(
                "there is no mirror here",
                where=self.storage.where,
                hint="give the mirror's folder with --dest, or make one with `kling-mirror sync`",
            )

    @contextlib.contextmanager
    def opened(self, *, load: bool = True) -> Iterator[None]:
        """Hold the lock, with the manifest loaded; release both at the end.

        Raises:
            LockedError, ManifestError, DiskError: as `locked` says.
        """
        with (
            self.storage.lock(),
            contextlib.closing(self.storage),
            contextlib.closing(self.spool),
            disk_errors(self.dest),
        ):
            if load:
                self.manifest.load()
            yield

    def manifest_now(self) -> Manifest:
        """The manifest as it is now, read again: another run may have changed it.

        Raises:
            ManifestError, DiskError: it cannot be read.
        """
        now = Manifest(self.storage)
        now.load()
        return now

    def recover(self, check_stop: Callable[[], None], warn: Callable[[str], None]) -> int:
        """Finish the work of an interrupted run; to be called before anything is changed.

        Args:
            check_stop: raises if that is to stop.
            warn: called with a line for people, if assets were recorded.

        Returns:
            How many assets were recorded that the interrupted run had fetched.

        Raises:
            OSError: the disk fails.
        """
        was_cut_off = not self.manifest.is_compact
        recorded = self.recovery.keep_promises(check_stop)
        if recorded is not None or was_cut_off:
            self.recovery.sweep()
        if recorded:
            warn(f"recorded {counted(recorded, 'asset')} that an interrupted run had fetched")
        return recorded or 0

    def free(self) -> int | None:
        """Bytes that are free where new files go; None where the file system does not say.

        Raises:
            OSError: the disk fails.
        """
        return free_bytes(self.storage.spool_folder)

    def tidy_spool(self) -> None:
        """Remove partial files that nobody waits for, once all that is listed is mirrored.

        Raises:
            OSError: the disk fails.
        """
        from mirror.storage.tidying import tidy  # noqa: PLC0415 - as above

        tidy(self.spool, self.storage, self.manifest.entries.values())

    def compact(self) -> None:
        """Write `manifest.json` again, if something was recorded since.

        Raises:
            OSError: the disk fails; the old manifest and the journal stand.
        """
        if not self.manifest.is_compact:
            self.manifest.compact()


def _storage(dest: Place, disk: Disk | None) -> Storage:
    if not isinstance(dest, BucketUrl):
        return LocalFolder(dest, disk=disk)
    from mirror.storage.bucket import Bucket  # noqa: PLC0415 - most mirrors are folders

    return Bucket(dest, disk=disk)
