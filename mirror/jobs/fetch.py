"""Fetch the files of one asset: retries, resuming, fresh URLs, digests, unchanged copies.

What comes out is complete and checked, in `partial/`, not yet durable.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from mirror.errors import (
    AccessError,
    ApiError,
    AssetError,
    ExpiredUrlError,
    FetchError,
    TooSlowError,
)
from mirror.jobs.commit import Failed, Fetched, FetchedFile, Outcome
from mirror.models import Action, Asset, Kind, Role, StoredFile
from mirror.net.download import Received
from mirror.net.json_text import without_query
from mirror.net.kling import KlingApi
from mirror.net.probe import RemoteFile
from mirror.net.retry import Pause, Policy
from mirror.net.transfers import Transfers
from mirror.storage import media
from mirror.storage.durable import disk_error
from mirror.storage.hashing import hash_file
from mirror.storage.partial import Partial
from mirror.storage.root import Root
from mirror.threads import in_thread

T = TypeVar("T")

_FRESH_URLS = 2
"""How often one asset is looked up without progress, when its URL no longer answers."""
_COVER_S = 1.0
"""A resource waits for its cover this long before it is recorded without it."""
_BETWEEN_S = 0.25
_PROGRESS_BYTES = 1 << 20
_MEDIA = (None, "image", "video", "audio")
"""Types of assets whose files are media; what Kling may add one day need not be one."""


class _GrownError(Exception):
    """An attempt failed, but the file has grown: the attempt does not count."""


class _Progress:
    """The progress of a file: growth counts from 1 % or 1 MB on, so that retries end."""

    def __init__(self, partial: Partial) -> None:
        self._partial = partial
        self._best = 0

    def made(self) -> bool:
        """Whether more of the file is here than ever before."""
        least = max(1, min(self._best // 100, _PROGRESS_BYTES))
        has_grown = self._partial.kept >= self._best + least
        self._best = max(self._best, self._partial.kept)
        return has_grown


class _Wanted(NamedTuple):
    """One file that is asked for, until it is here or given up.

    Attributes:
        known: of a copy that may still be right.
        is_media: whether an image, a video or a sound is expected.
    """

    url: str
    partial: Partial
    progress: _Progress
    known: StoredFile | None
    is_media: bool


class Fetcher:
    """Fetches assets, several at a time.

    Args:
        root: open, with the lock.
        transfers: moves the bytes.
        api: looks an asset up again.
        max_attempts: how often one file is requested without progress.
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
        self._pauses: dict[str, Pause] = {}

    async def fetch(
        self,
        action: Action,
        on_complete: Callable[[Fetched], None],
        on_slow_cover: Callable[[Fetched], Awaitable[None]] | None = None,
    ) -> Outcome:
        """Fetch every file that the action wants.

        Args:
            action: what is to be done.
            on_complete: called for each file as soon as it is complete, with those before it.
            on_slow_cover: called with a resource alone, where its cover takes long.

        Raises:
            DiskError: the disk cannot take them; any other trouble is the asset's own outcome.
        """
        files: dict[Role, FetchedFile] = {}
        fetched = Fetched(action, files)
        for role in action.fetch:
            fetching = self._fetch_file(action, role)
            try:
                if not files:
                    files[role] = await fetching
                else:
                    task = asyncio.ensure_future(fetching)
                    try:
                        done, _ = await asyncio.wait((task,), timeout=_COVER_S)
                        if not done and on_slow_cover is not None:
                            await on_slow_cover(Fetched(action, dict(files), is_whole=False))
                        files[role] = await task
                    finally:
                        task.cancel()
            except AssetError as error:
                failed = Failed(action, role, str(error))
                # A cover alone is nothing to record; a resource without its cover is.
                return Fetched(action, files, failed) if files else failed
            fetched = Fetched(action, dict(files))
            on_complete(fetched)
        return fetched

    async def _fetch_file(self, action: Action, role: Role) -> FetchedFile:
        """Fetch one file; where its URL no longer answers, from a fresh one."""
        asset, looked_up = action.asset, 0
        partial = self._spool.partial(asset.key, role)
        progress = _Progress(partial)
        while True:
            try:
                return await self._file(action, asset, role, partial)
            except ExpiredUrlError:
                if progress.made():  # the URL was good for a while
                    looked_up = 0
                fresh = await self._look_up(asset) if looked_up < _FRESH_URLS else None
                looked_up += 1
                if fresh is None or fresh.urls.get(role) in (None, asset.urls[role]):
                    raise
                asset = fresh

    async def _look_up(self, asset: Asset) -> Asset | None:
        """The asset with fresh URLs, unless Kling has another version of it by now."""
        try:
            found = await in_thread(self._api.look_up, asset)
        except (ApiError, AccessError):
            return None
        if found is None or not (asset.is_dated and found.is_dated):
            return found
        return found if found.update_time_ms == asset.update_time_ms else None

    async def _file(
        self, action: Action, asset: Asset, role: Role, partial: Partial
    ) -> FetchedFile:
        url = asset.urls.get(role)
        if not url:
            raise AssetError("Kling lists no URL for this file")
        old, known = _old(action, role), _replaced(action, role, url)
        try:
            if known is not None and not await asyncio.to_thread(self._is_as_recorded, known):
                known = None
            is_media = role == "cover" or asset.content_type in _MEDIA
            received = await self._attempts(
                _Wanted(url, partial, _Progress(partial), known, is_media)
            )
            if known is not None and received.facts is known:
                await asyncio.to_thread(self._storage.copy_out, known.path, partial)
                return FetchedFile(partial, Path(known.path).suffix, known, reused=True)
        except OSError as error:
            raise disk_error(error, error.filename or partial.path) from None
        facts, name = received.facts, asset.name if role == "resource" else None
        suffix = media.suffix_of(received.head, facts.content_type, name)
        reused = old is not None and old.sha256 == facts.sha256
        return FetchedFile(partial, suffix, facts, reused=reused)

    def _is_as_recorded(self, stored: StoredFile) -> bool:
        try:
            return hash_file(self._storage.open(stored.path)).sha256 == stored.sha256
        except OSError:
            return False

    async def _attempts(self, wanted: _Wanted) -> Received:
        """Request the file until it is complete, or failed too often without progress."""
        while True:
            try:
                return await self._asked(wanted.url, lambda: self._once(wanted))
            except _GrownError:
                await asyncio.sleep(_BETWEEN_S)

    async def probe(self, url: str) -> RemoteFile:
        """Ask for the CDN's facts about a file, to compare a local file with them.

        Raises:
            FetchError: it does not say it.
        """
        return await self._asked(url, lambda: self._transfers.probe(url))

    async def _asked(self, url: str, request: Callable[[], Awaitable[T]]) -> T:
        """The answer to a request, with its retries and the waits that its host asks for."""
        host = _host(url)

        async def once() -> T:
            if (pause := self._pauses.get(host)) is not None:
                await _wait(pause, host)
            try:
                result = await request()
            except FetchError as error:
                if error.retry_after_s is not None:
                    pause = self._pauses.setdefault(host, Pause(self._policy.max_wait_s))
                    pause.extend(error.retry_after_s)
                raise
            if pause is not None:
                pause.end()
            return result

        return await self._policy.call_async(once)

    async def _once(self, wanted: _Wanted) -> Received:
        url, partial = wanted.url, wanted.partial
        resume = None
        if partial.has_note():
            resume = await asyncio.to_thread(
                partial.resume, without_query(url), head_bytes=media.HEAD_BYTES
            )
        if resume is not None and resume.note.complete:
            return Received(resume.note, resume.head, digests=())
        known = wanted.known if resume is None else None
        wanted.progress.made()
        try:
            received = await self._transfers.fetch(
                url, partial, resume=resume, known=known, is_media=wanted.is_media
            )
        except FetchError as error:
            if wanted.progress.made() and self._goes_on_after(error):
                raise _GrownError from error
            raise
        for algorithm, digest in received.digests:
            hashed = await asyncio.to_thread(hash_file, partial.path.open("rb"), (algorithm,))
            if hashed.digests[algorithm] != digest:
                partial.discard()
                raise FetchError(f"the file does not match the {algorithm} that came with it")
        return received

    def _goes_on_after(self, error: FetchError) -> bool:
        """Whether the file has grown, so that a failure does not count as an attempt."""
        is_asked_once = self._policy.max_attempts == 1
        return error.retryable and not isinstance(error, TooSlowError) and not is_asked_once


async def _wait(pause: Pause, host: str) -> None:
    """Wait as long as the host asked for.

    Raises:
        FetchError: it is too long.
    """
    while (left_s := pause.left_s) > 0:
        if pause.is_too_long:
            raise FetchError(
                f"the host asks to wait {left_s:.0f} s more, longer than --max-wait allows",
                where=host,
                retryable=False,
            )
        await asyncio.sleep(left_s)


def _host(url: str) -> str:
    return url.partition("//")[2].partition("/")[0].rpartition("@")[2]


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
