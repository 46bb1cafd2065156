"""`verify --repair`: fetch what is missing or damaged anew, or find the same bytes elsewhere here.

Each file is looked up at Kling by its asset's key. Where Kling has it no more, `history/` and
`trash/` may still hold the very bytes: they are known by their hash.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Mapping, Sequence

from mirror.jobs import verify
from mirror.jobs.commit import Committer, Fetched
from mirror.jobs.fetch import Fetcher
from mirror.jobs.running import opened, run_stoppable
from mirror.jobs.verify import Finding, Findings
from mirror.models import Action, Asset, Entry, Kind, StoredFile, key_of
from mirror.net.decode import MalformedAnswerError, decode_item
from mirror.net.kling import KlingApi
from mirror.progress import Progress
from mirror.settings import Settings
from mirror.stopping import Stop
from mirror.storage.hashing import hash_file
from mirror.storage.interface import Placement
from mirror.storage.root import Root
from mirror.threads import in_thread, shielded


class Repairer:
    """Mends what `verify.check` found.

    Args:
        root: open, with the lock.
        api: the service.
        fetcher: fetches assets.
        committer: makes them durable.
        jobs: assets fetched at a time.
    """

    def __init__(
        self,
        root: Root,
        *,
        api: KlingApi,
        fetcher: Fetcher,
        committer: Committer,
        jobs: int,
    ) -> None:
        self._storage = root.storage
        self._spool = root.spool
        self._manifest = root.manifest
        self._api = api
        self._fetcher = fetcher
        self._committer = committer
        self._slots = asyncio.Semaphore(jobs)
        self._committing = asyncio.Lock()

    async def repair(self, findings: Findings) -> None:
        """Mend what can be mended; the findings tell what became of each file.

        Raises:
            DiskError: the disk cannot take it.
            AccessError: the token or the account is refused: nothing can be told of any file.
            ApiError: the API cannot be asked.
        """
        by_key: dict[str, list[Finding]] = {}
        for finding in findings.wrong:
            by_key.setdefault(key_of(finding.id, finding.update_time_ms), []).append(finding)
        async with asyncio.TaskGroup() as group:
            for key, wrong in by_key.items():
                group.create_task(self._fetch(key, wrong, findings))
        left = [it for it in findings.wrong if it.path not in findings.fetched]
        wanted = {it.path: self._manifest.entries[_key(it)].file(it.role) for it in left}
        copies = await asyncio.to_thread(self._copies, list(filter(None, wanted.values())))
        for finding in left:
            stored = wanted[finding.path]
            if stored is not None and stored.sha256 in copies:
                await asyncio.to_thread(self._restore, finding, stored, copies[stored.sha256])
                findings.restored.append(finding.path)
            elif finding.path not in findings.failed:
                findings.lost.append(finding.path)
        findings.failed = [path for path in findings.failed if path not in findings.restored]

    async def _fetch(self, key: str, wrong: list[Finding], findings: Findings) -> None:
        """Fetch what Kling has of one asset, each file for itself."""
        if self._manifest.entries[key].state == "superseded":
            return  # Kling has only the newer version
        async with self._slots:
            asset = await self._look_up(self._manifest.entries[key])
            for finding in wrong:
                if asset is None or not asset.urls.get(finding.role):
                    continue
                entry = self._manifest.entries[key]
                action = Action(asset, Kind.REPAIRED, (finding.role,), entry)
                outcome = await self._fetcher.fetch(action)
                if isinstance(outcome, Fetched):
                    async with self._committing:
                        await shielded(self._committer.commit([outcome]))
                    findings.fetched.append(finding.path)
                else:
                    findings.failed.append(finding.path)

    async def _look_up(self, entry: Entry) -> Asset | None:
        try:
            known = decode_item(entry.asset, account=entry.account)
        except MalformedAnswerError:
            return None
        return await in_thread(self._api.look_up, known)

    def _copies(self, wanted: Sequence[StoredFile]) -> Mapping[str, str]:
        """Files that hold wanted bytes, by hash: of other entries, in history and in the trash."""
        sizes = {stored.size for stored in wanted}
        hashes = {stored.sha256 for stored in wanted}
        recorded = (
            stored.path
            for entry in self._manifest.entries.values()
            for stored in entry.files()
            if stored.sha256 in hashes
        )
        history, trash = self._storage.walk("history"), self._storage.walk("trash")
        kept = (found.path for found in itertools.chain(history, trash))
        copies: dict[str, str] = {}
        for path in itertools.chain(recorded, kept):
            with contextlib.suppress(OSError):
                if self._storage.size_of(path) in sizes:
                    copies[hash_file(self._storage.open(path)).sha256] = path
        return copies

    def _restore(self, finding: Finding, stored: StoredFile, copy: str) -> None:
        """Put the recorded bytes back where they are recorded: the entry is true again."""
        partial = self._spool.partial(_key(finding), finding.role)
        self._storage.copy_out(copy, partial)
        placement = Placement(partial, stored.path, finding.update_time_ms)
        self._storage.secure([placement])()
        self._storage.place([placement], kept=frozenset())
        self._storage.settle()


def _key(finding: Finding) -> str:
    return key_of(finding.id, finding.update_time_ms)


def check_and_repair(
    settings: Settings, token: str, root: Root, *, progress: Progress, stop: Stop
) -> Findings:
    """Check every file, and mend what can be mended.

    Args:
        settings: of the API and of transfers.
        token: the API token.
        root: open, with the lock.
        progress: told of files and bytes.
        stop: asked to stop through it.

    Raises:
        MirrorError: what ended it before its time; what was mended is recorded.
    """
    findings = verify.check(root, jobs=settings.jobs, progress=progress, stop=stop)
    if findings.wrong:
        run_stoppable(_repair(settings, token, root, findings, progress, stop), stop)
        verify.note(root, findings.left)
        root.compact()
    return findings


async def _repair(  # noqa: PLR0917 - what `check_and_repair` was given
    settings: Settings,
    token: str,
    root: Root,
    findings: Findings,
    progress: Progress,
    stop: Stop,
) -> None:
    async with opened(settings, token, root, progress) as (api, fetcher):
        with Committer(root, by_account=False, check_stop=stop.check) as committer:
            repairer = Repairer(
                root, api=api, fetcher=fetcher, committer=committer, jobs=settings.jobs
            )
            await repairer.repair(findings)
