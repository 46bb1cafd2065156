"""One URL → one checked partial file, many at a time.

Nothing here knows an asset, the manifest or a final name; a file that is finished is complete and
checked, but not yet durable.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Self, TypeVar

from mirror.errors import FetchError, MirrorError, TooSlowError
from mirror.models import FileFacts
from mirror.net.curl import PAUSE, Curl
from mirror.net.download import Received, Receiver
from mirror.net.json_text import without_query
from mirror.net.network import Network
from mirror.net.pacing import Pacer
from mirror.net.probe import Prober, RemoteFile
from mirror.net.response import Answer
from mirror.net.urls import UrlRules
from mirror.net.writers import Writers
from mirror.storage.partial import Partial, Resume

T = TypeVar("T")

_log = logging.getLogger(__name__)

_BUFFER_BYTES = 256 * 1024
_PACED_BUFFER_BYTES = 16 * 1024
_MAX_REDIRECTS = 8
_TICK_S = 0.5
_LEAST_RATE = 1000
"""Bytes per second: a transfer that is slower for the stall timeout only drips."""
_NEARLY_FULL_BYTES = 256 << 20


class Transfers:
    """Moves files, in the running event loop. A context manager: leaving it ends every transfer.

    Args:
        jobs: connections, at the most.
        stall_timeout_s: a transfer without a byte for so long is cut, and one that only drips.
        limit_rate: bytes per second over all transfers, or None.
        max_size: bytes of a file, at the most, or None.
        rules: where URLs and redirects may lead.
        room: called with the bytes that are announced and not yet here, of all transfers, before
            a file is started and now and then; returns how many more would fit; what it raises ends
            the transfer.
        on_bytes: called with the count of every chunk that arrives.

    Raises:
        UsageError: the environment names a proxy or certificates that cannot be used.
    """

    def __init__(
        self,
        *,
        jobs: int,
        stall_timeout_s: float,
        limit_rate: int | None,
        max_size: int | None,
        rules: UrlRules,
        room: Callable[[int], int],
        on_bytes: Callable[[int], None],
    ) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._max_size = max_size
        self._rules = rules
        self._network = Network()
        self._room = room
        self._spare_bytes = 0
        self._asked_at = 0.0
        self._on_bytes = on_bytes
        self._loop = asyncio.get_running_loop()
        self._ticker: asyncio.TimerHandle | None = None
        self._writers = Writers()
        self._pacer = Pacer[Answer[Any]](limit_rate, go_on=self._go_on) if limit_rate else None
        self._curl = Curl(
            connections=jobs,
            buffer_bytes=_PACED_BUFFER_BYTES if limit_rate else _BUFFER_BYTES,
            connect_timeout_s=stall_timeout_s,
            ca_file=self._network.ca_file,
            ca_folder=self._network.ca_folder,
            check_address=self._check_address,
            on_done=self._on_done,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End every transfer, keeping what can be resumed."""
        for transfer in tuple(self._curl.active):
            self._abandon(transfer)
        self._writers.close()
        if self._ticker is not None:
            self._ticker.cancel()
        if self._pacer is not None:
            self._pacer.close()
        self._curl.close()

    async def fetch(
        self,
        url: str,
        partial: Partial,
        *,
        resume: Resume | None = None,
        known: FileFacts | None = None,
        is_media: bool = True,
    ) -> Received:
        """Fetch one URL into one partial file.

        Args:
            url: http or https; redirects stay there, and never leave https.
            partial: where the bytes go.
            resume: what can be continued; its note has a validator.
            known: of a copy that may still be right, with its ETag; they are the result's facts
                where the server says so, and the partial file stays empty.
            is_media: whether an image, a video or a sound is expected: text is none.

        Raises:
            FetchError: no complete and right file came; says whether to try again.
            DiskError: the bytes could not be written.
        """
        transfer = Receiver(
            url=self._rules.checked(url),
            noted_url=without_query(url),
            partial=partial,
            resume=resume,
            known=known,
            check_room=self._check_room,
            on_bytes=self._on_bytes,
            max_size=self._max_size,
            is_media=is_media,
            writers=self._writers,
        )
        return await self._answer(transfer, url)

    async def probe(self, url: str) -> RemoteFile:
        """Ask what the headers say of a file, without fetching it.

        Args:
            url: as for `fetch`.

        Raises:
            FetchError: no answer came; says whether to try again.
        """
        prober = Prober(url=self._rules.checked(url), on_bytes=self._on_bytes)
        return await self._answer(prober, url)

    async def _answer(self, transfer: Answer[T], url: str) -> T:
        self._start(transfer)
        try:
            result = await transfer.future
        except asyncio.CancelledError:
            self._abandon(transfer)
            raise
        except MirrorError as error:
            _log.debug("GET %s: %s", without_query(url), error)
            raise
        _log.debug("GET %s: %d, %d bytes", without_query(url), transfer.status, transfer.received)
        return result

    def _start(self, transfer: Answer[Any]) -> None:
        transfer.moved_at = transfer.counted_at = self._loop.time()
        take = transfer.on_body if self._pacer is None else self._paced(transfer, self._pacer)
        self._curl.start(transfer, proxy=self._network.proxy_for(transfer.url), on_body=take)
        self._keep_ticking()

    def _check_address(self, transfer: Answer[Any], address: str) -> None:
        if not self._network.proxy_for(transfer.url):  # a proxy is the user's own choice
            self._rules.check_address(address)

    def _on_done(
        self, transfer: Answer[Any], redirect: str | None, error: MirrorError | None
    ) -> None:
        if redirect is not None:
            try:
                self._follow(transfer, redirect)
            except MirrorError as reason:
                error = reason
            else:
                return
        self._settle(transfer, error)

    def _follow(self, transfer: Answer[Any], redirect: str) -> None:
        url = self._rules.checked(redirect)
        if transfer.url.lower().startswith("https:") and not url.lower().startswith("https:"):
            raise FetchError("a redirect would leave https", retryable=False)
        transfer.redirects += 1
        if transfer.redirects > _MAX_REDIRECTS:
            raise FetchError("too many redirects", retryable=False)
        transfer.url = url
        self._start(transfer)

    def _settle(self, transfer: Answer[Any], error: MirrorError | None) -> None:
        self._release(transfer)
        transfer.settle(error)

    def _abandon(self, transfer: Answer[Any]) -> None:
        self._release(transfer)
        transfer.abandon()

    def _release(self, transfer: Answer[Any]) -> None:
        self._curl.stop(transfer)
        if self._pacer is not None:
            self._pacer.forget(transfer)

    def _keep_ticking(self) -> None:
        if self._curl.active and self._ticker is None:
            self._ticker = self._loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        """Cut transfers that stall or drip, now and then."""
        self._ticker = None
        now = self._loop.time()
        for transfer in tuple(self._curl.active):
            if (error := self._stalled(transfer, now)) is not None:
                self._settle(transfer, error)
        self._keep_ticking()

    def _stalled(self, transfer: Answer[Any], now: float) -> FetchError | None:
        """Why a transfer is to be cut, or None; one that waits for us is never cut."""
        is_paced = self._pacer is not None and self._pacer.is_waiting(transfer)
        if not is_paced and transfer.moved_at < now - self._stall_timeout_s:
            return FetchError(f"stalled: no byte for {self._stall_timeout_s:g} s")
        if is_paced or not transfer.received:  # the first byte may take its time
            transfer.counted_at, transfer.counted = now, transfer.received
        elif (elapsed_s := now - transfer.counted_at) >= self._stall_timeout_s:
            count = transfer.received - transfer.counted
            if count < _LEAST_RATE * elapsed_s:
                return TooSlowError(f"too slow: {count:,} bytes in {elapsed_s:.0f} s")
            transfer.counted_at, transfer.counted = now, transfer.received
        return None

    def _paced(
        self, transfer: Answer[Any], pacer: Pacer[Answer[Any]]
    ) -> Callable[[bytes], int | None]:
        """A body callback that takes bytes as fast as the limit allows."""

        def on_body(data: bytes) -> int | None:
            return transfer.on_body(data) if pacer.admit(transfer, len(data)) else PAUSE

        return on_body

    def _go_on(self, transfer: Answer[Any]) -> None:
        transfer.moved_at = self._loop.time()
        try:
            self._curl.go_on(transfer)
        except FetchError as error:
            self._settle(transfer, error)

    def _check_room(self, announced: int) -> None:
        """Check that all announced bytes that are still missing fit on the disk.

        The disk is asked again once much has come in, or time has passed.
        """
        now = self._loop.time()
        self._spare_bytes -= announced
        if self._spare_bytes < _NEARLY_FULL_BYTES or now > self._asked_at + _TICK_S:
            self._asked_at = now
            active = tuple(self._curl.active)  # at once: the writer's thread asks, too
            self._spare_bytes = self._room(
                sum(max(0, transfer.announced - transfer.received) for transfer in active)
            )
