"""`verify --repair`: put back what is missing or damaged.

First from bytes that are here, known by their hash: of another entry, in history or trash, or under
a name that no entry has. Only then is Kling asked, for its whole listing: a file is lost where a
proven listing does not have its asset, never because one answer did not.
"""

import asyncio
import contextlib
import errno
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from functools import partial
from typing import BinaryIO

from mirror.errors import AccessError, ApiError, MirrorError, UsageError
from mirror.jobs import verify
from mirror.jobs.commit import Committer
from mirror.jobs.fetch import Fetcher
from mirror.jobs.known import Known
from mirror.jobs.running import opened, run_stoppable
from mirror.jobs.verify import Findings, Record, recorded
from mirror.models import Action, Asset, Entry, Kind, Role
from mirror.net.kling import KlingApi
from mirror.net.listing import Listing
from mirror.progress import Progress
from mirror.settings import Settings
from mirror.stopping import Stop
from mirror.storage.hashing import hash_file
from mirror.storage.interface import Area, Placement
from mirror.storage.journal import DropFailure
from mirror.storage.placing import Plan
from mirror.storage.root import Root
from mirror.threads import in_thread, shielded

_OF_ONE_FILE = frozenset(
    (
        *(errno.EIO, errno.ENOENT),  # a bad sector; gone meanwhile
        *(errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST, errno.ELOOP),  # in the way
        errno.EPERM,  # immutable
    )
)
_AREAS: tuple[Area, ...] = ("tree", "history", "trash")


def check_and_repair(
    settings: Settings,
    root: Root,
    *,
    token: Callable[[], str],
    progress: Progress,
    stop: Stop,
    reads_all: bool = True,
) -> tuple[Findings, MirrorError | None]:
    """Check every file, and restore what can be restored.

    Args:
        settings: of the API and of transfers.
        root: open, with the lock.
        token: gives the API token; called only if Kling is to be asked.
        progress: notified of files and bytes.
        stop: ends the work when it is set.
        reads_all: as `verify.check` has it.

    Returns:
        What was found and done, and what kept Kling from being asked for the rest, if anything.

    Raises:
        DiskError, OSError: the disk cannot take it; what was repaired is recorded.
        Interrupted: stopped.
    """
    root.recover(stop.check, progress.warn)
    root.recovery.sweep()
    findings = verify.check(
        root, jobs=settings.jobs, progress=progress, stop=stop, reads_all=reads_all
    )
    for entry, _, stored in recorded(root.manifest):
        if entry.state != "superseded":  # in history, two versions may be one file
            root.storage.set_time(stored.path, entry.update_time_ms)
    if not findings.wrong:
        return findings, None
    repair = _Repair(settings, root, findings, progress, stop)
    error: MirrorError | None = None
    try:
        repair.restore()
        if repair.left:
            try:
                run_stoppable(repair.fetch(token()), stop)
            except (AccessError, ApiError, UsageError) as reason:
                error = reason
            repair.restore()  # what was fetched may be what another entry lacks
        repair.judge()
    finally:
        verify.note(root, findings.left, by_checksum=findings.by_checksum)
        root.compact()
    return findings, error


class _Repair:
    """One repair: which files are still wrong, and how each ends.

    Attributes:
        left: the records whose files are wrong, by path.
    """

    def __init__(
        self, settings: Settings, root: Root, findings: Findings, progress: Progress, stop: Stop
    ) -> None:
        wrong = {finding.path for finding in findings.wrong}
        records = recorded(root.manifest)
        self.left: dict[str, Record] = {
            record[2].path: record for record in records if record[2].path in wrong
        }
        self._settings = settings
        self._root = root
        self._findings = findings
        self._progress = progress
        self._stop = stop
        self._slots = asyncio.Semaphore(settings.jobs)
        self._committing = asyncio.Lock()
        self._listed: dict[str, Asset] = {}
        self._proven: set[str | None] = set()
        self._blocked: set[str] = set()

    # From what is here.

    def restore(self) -> None:
        """Put back every file whose bytes are anywhere in the root."""
        wanted: dict[str, list[Record]] = defaultdict(list)
        for record in self.left.values():
            wanted[record[2].sha256].append(record)
        for name, opening in self._candidates({it[2].size for it in self.left.values()}):
            try:
                found = hash_file(opening(), on_chunk=self._on_chunk).sha256
                for record in wanted.get(found, ()):
                    self._put_back(record, name, opening)
            except OSError as error:
                if not _is_of_one_file(error):
                    raise
            else:
                wanted.pop(found, None)

    def _candidates(self, sizes: Set[int]) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
        """The files of these sizes, whoever has them: their names, and what opens them."""
        storage = self._root.storage
        for area in _AREAS:
            for found in list(storage.walk(area)):
                if found.is_file and found.size in sizes:
                    yield found.path, partial(storage.open, found.path)
        spool = self._root.spool
        for name, size in list(spool.files()):
            if size in sizes:
                yield name, partial(spool.open, name)

    def _on_chunk(self, _: int) -> None:
        self._stop.check()

    def _put_back(self, record: Record, name: str, opening: Callable[[], BinaryIO]) -> None:
        """Copy a file to where its bytes are recorded: the entry is true again."""
        entry, role, stored = record
        if stored.path not in self.left:
            return
        root = self._root
        copy = root.spool.partial(entry.key, role, is_copy=True)
        root.spool.check_room(stored.size)
        placement = Placement(copy, stored.path, entry.update_time_ms, stored.size, stored.sha256)
        try:
            copy.take(opening())
            plan = Plan(entry, {role: placement})
            blocked = bool(root.placer.carry_out([plan], self._stop.check))
        except OSError as error:
            copy.discard()
            if not _is_of_one_file(error):
                raise
            blocked = True
        if blocked:
            copy.discard()
            self._blocked.add(stored.path)
            return
        if name != stored.path == unicodedata.normalize("NFC", name):
            root.storage.remove(name)  # it was the file itself, in another form of Unicode
        failure = root.manifest.failures.get(entry.key)
        if failure is not None and failure.role == role:
            root.manifest.record([DropFailure(entry.key)])
        self._findings.restored.append(stored.path)
        del self.left[stored.path]

    # From Kling.

    async def fetch(self, token: str) -> None:
        """Fetch what Kling still lists; of a superseded entry it has only the newer version.

        Raises:
            AccessError, ApiError: an account could not be listed; the others were.
        """
        settings, root = self._settings, self._root
        records = [record for record in self.left.values() if record[0].state != "superseded"]
        error: MirrorError | None = None
        async with opened(settings, token, root, self._progress) as (api, fetcher):
            with Committer(root, by_account=False, check_stop=self._stop.check) as committer:
                error = await in_thread(self._list_all, api, records)
                async with asyncio.TaskGroup() as group:
                    for record in records:
                        group.create_task(self._fetch(record, fetcher, committer))
        if error is not None:
            raise error

    def _list_all(self, api: KlingApi, records: Sequence[Record]) -> MirrorError | None:
        """Find the assets whose files are wanted; returns what kept some from being found."""
        error: MirrorError | None = None
        accounts = {entry.account for entry, _, _ in records}
        for account in accounts:
            wanted = {entry.key for entry, _, _ in records if entry.account == account}
            try:
                self._list(api, account, wanted)
            except (AccessError, ApiError) as reason:
                error = error or reason
        wanted = {entry.key for entry, _, _ in records}
        if not isinstance(error, AccessError):
            return error
        # An account may have another address by now.
        with contextlib.suppress(AccessError, ApiError):
            for address in api.accounts():
                if address not in accounts and not wanted <= self._listed.keys():
                    self._list(api, address, wanted)
        return None if wanted <= self._listed.keys() else error

    def _list(self, api: KlingApi, account: str | None, wanted: Set[str]) -> None:
        """List an account until what is wanted is found, or Kling proves to have it no more."""
        known = Known(self._root.manifest.entries, is_wanted=lambda _: True)
        scope = known.scope(account, is_alone=True)
        listing = Listing(
            partial(api.page, account=account, filters={}),
            account=account,
            page_size=self._settings.page_size,
            identify=known.identify,
            expected=scope.expected,
        )
        for assets in listing.pages():
            self._listed |= {asset.key: asset for asset in assets if asset.key in wanted}
            if wanted <= self._listed.keys():
                return
        # A library without anything that we know is another one, whatever it proves.
        is_ours = not scope.expected(listing.seen).isdisjoint(listing.seen)
        if is_ours and listing.is_proven and not listing.has_unreadable:
            self._proven.add(account)

    async def _fetch(self, record: Record, fetcher: Fetcher, committer: Committer) -> None:
        entry, role, stored = record
        asset = self._listed.get(entry.key)
        if asset is None or not asset.urls.get(role):
            return
        async with self._slots:
            now = self._root.manifest.entries[entry.key]
            action = Action(asset, Kind.REPAIRED, (role,), now, ())
            outcome = await fetcher.fetch(action, committer.promise)
            try:
                async with self._committing:
                    (end,) = await shielded(committer.commit([outcome]))
            except OSError as error:
                if not _is_of_one_file(error):
                    raise
                return
            if end.failed is not None:
                return
        self._findings.fetched.append(stored.path)
        del self.left[stored.path]

    def judge(self) -> None:
        """Decide which files are lost, and which may be restored another day."""
        may_come = {
            stored.sha256
            for path, (entry, role, stored) in self.left.items()
            if path in self._blocked or not self._is_lost(entry, role)
        }
        for path, (_, _, stored) in self.left.items():
            is_lost = stored.sha256 not in may_come
            (self._findings.lost if is_lost else self._findings.failed).append(path)

    def _is_lost(self, entry: Entry, role: Role) -> bool:
        """Whether Kling has no such file any more; of a superseded entry it never has."""
        asset = self._listed.get(entry.key)
        if asset is not None:
            return role not in asset.urls
        return entry.account in self._proven or entry.state == "superseded"


def _is_of_one_file(error: OSError) -> bool:
    """Whether a file is at fault, and not the disk as a whole."""
    return error.errno in _OF_ONE_FILE
