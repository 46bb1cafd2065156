"""All bytes of one asset: retries, resuming, fresh URLs, digests, and copies that are still right.

What comes out is complete and checked, in `partial/`, not yet durable.
"""

import asyncio
import contextlib
from pathlib import Path

from mirror.errors import AccessError, ApiError, AssetError, ExpiredUrlError, FetchError
from mirror.jobs.commit import Failed, Fetched, FetchedFile, Outcome
from mirror.models import Action, Asset, Kind, Role, StoredFile
from mirror.net.decode import without_query
from mirror.net.download import Received
from mirror.net.kling import KlingApi
from mirror.net.probe import RemoteFile
from mirror.net.retry import Pause, Policy
from mirror.net.transfers import Transfers
from mirror.storage import media
from mirror.storage.durable import disk_error
from mirror.storage.hashing import hash_file
from mirror.storage.root import Root
from mirror.storage.spool import Note, Partial
from mirror.threads import in_thread

_FRESH_URLS = 2
"""How often one asset is looked up again in a run, when its URL no longer answers."""


class Fetcher:
    """Fetches assets, several at a time.

    Args:
        root: open, with the lock.
        transfers: moves the bytes.
        api: looks an asset up again.
        max_attempts: how often one file is asked for.
        max_wait_s: the longest total wait for one file's retries.
    """

    def __init__(
        self,
        root: Root,
        transfers: Transfers,
        api: KlingApi,
        *,
        max_attempts: int,
        max_wait_s: float,
    ) -> None:
        self._storage = root.storage
        self._spool = root.spool
        self._transfers = transfers
        self._api = api
        self._policy = Policy(max_attempts, max_wait_s)
        self._pause = Pause()

    async def fetch(self, action: Action) -> Outcome:
        """Fetch every file that the action wants.

        Raises:
            DiskError: the disk cannot take them; any other trouble is the asset's own outcome.
        """
        files: dict[Role, FetchedFile] = {}
        asset, looked_up = action.asset, 0
        for role in action.fetch:
            while role not in files:
                try:
                    files[role] = await self._file(action, asset, role)
                except ExpiredUrlError as error:
                    fresh = await self._look_up(asset) if looked_up < _FRESH_URLS else None
                    looked_up += 1
                    if fresh is None or fresh.urls.get(role) in (None, asset.urls[role]):
                        return self._failed(action, role, error, files)
                    asset = fresh
                except AssetError as error:
                    return self._failed(action, role, error, files)
                except BaseException:  # a stop, or the disk: what is complete stays so
                    self.keep(Fetched(action, files))
                    raise
        return Fetched(action, files)

    def keep(self, outcome: Fetched) -> None:
        """Note that files are complete, so that the next run need not ask for them again."""
        for file in outcome.files.values():
            with contextlib.suppress(OSError):
                file.partial.save(Note.of(file.facts, complete=True))

    def _failed(
        self, action: Action, role: Role, error: AssetError, files: dict[Role, FetchedFile]
    ) -> Failed:
        self.keep(Fetched(action, files))
        return Failed(action, role, str(error))

    async def _look_up(self, asset: Asset) -> Asset | None:
        try:
            return await in_thread(self._api.look_up, asset)
        except (ApiError, AccessError):
            return None

    async def _file(self, action: Action, asset: Asset, role: Role) -> FetchedFile:
        url = asset.urls.get(role)
        if not url:
            raise AssetError("Kling lists no URL for it")
        partial = self._spool.partial(asset.key, role)
        mine = _replaced(action, role, url)
        try:
            if mine is not None and not await asyncio.to_thread(self._is_as_recorded, mine):
                mine = None
            received = await self._attempts(url, partial, mine)
            if mine is not None and received.facts is mine:
                await asyncio.to_thread(self._storage.copy_out, mine.path, partial)
                return FetchedFile(partial, Path(mine.path).suffix, mine, reused=True)
        except OSError as error:
            raise disk_error(error, error.filename or partial.path) from None
        facts, name = received.facts, asset.name if role == "resource" else None
        suffix = media.suffix_of(received.head, facts.content_type, name)
        old = _old(action, role)
        reused = old is not None and old.sha256 == facts.sha256
        return FetchedFile(partial, suffix, facts, reused=reused)

    def _is_as_recorded(self, stored: StoredFile) -> bool:
        try:
            return hash_file(self._storage.open(stored.path)).sha256 == stored.sha256
        except OSError:
            return False

    async def _attempts(self, url: str, partial: Partial, mine: StoredFile | None) -> Received:
        async def request() -> Received:
            await self._wait()
            return await self._once(url, partial, mine)

        return await self._policy.call_async(request)

    async def probe(self, url: str) -> RemoteFile:
        """Ask what the CDN says of a file, to tell whether ours is the same.

        Raises:
            FetchError: it does not say it.
        """

        async def request() -> RemoteFile:
            await self._wait()
            return await self._transfers.probe(url)

        return await self._policy.call_async(request)

    async def _wait(self) -> None:
        """Let a wait that a server asked for pass."""
        while (left_s := self._pause.left_s) > 0:  # noqa: ASYNC110 - time is the event
            await asyncio.sleep(left_s)

    async def _once(self, url: str, partial: Partial, mine: StoredFile | None) -> Received:
        resume = None
        if partial.has_note():
            resume = await asyncio.to_thread(
                partial.resume, without_query(url), head_bytes=media.HEAD_BYTES
            )
        if resume is not None and resume.note.complete:
            return Received(resume.note, resume.head, digests=())
        known = mine if resume is None else None
        try:
            received = await self._transfers.fetch(url, partial, resume=resume, known=known)
        except FetchError as error:
            if error.retry_after_s is not None:
                self._pause.extend(min(error.retry_after_s, self._policy.max_wait_s))
            raise
        for algorithm, digest in received.digests:
            hashed = await asyncio.to_thread(hash_file, partial.path.open("rb"), (algorithm,))
            if hashed.digests[algorithm] != digest:
                partial.discard()
                raise FetchError(f"the file does not match the {algorithm} that came with it")
        return received


def _old(action: Action, role: Role) -> StoredFile | None:
    return action.supersedes[0].file(role) if action.supersedes else None


def _replaced(action: Action, role: Role, url: str) -> StoredFile | None:
    """The file that may still be the right one: of the same URL, known by a strong ETag.

    Another URL may give the same ETag to other bytes: it means something for its own URL alone.
    """
    old = _old(action, role)
    if old is None or action.kind is not Kind.CHANGED or old.url != without_query(url):
        return None
    return old if (old.etag or "").startswith('"') else None
