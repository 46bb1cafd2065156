"""One URL → one checked partial file, many at a time, on libcurl's multi interface.

One thread drives every transfer: libcurl's sockets in a selector, bytes written and hashed in its
callbacks. The rest of the program awaits `Transfers.fetch`. The thread knows no asset, no manifest
and no final name; what it finishes is complete and checked, but not yet durable.
"""

import asyncio
import collections
import contextlib
import os
import selectors
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import certifi
import pycurl

from mirror import __version__
from mirror.addresses import UrlRules
from mirror.durable import disk_error
from mirror.errors import FetchError, MirrorError
from mirror.partials import Partial, Resume
from mirror.probing import EnoughError, Prober, Sample
from mirror.receiving import Answer, Received, Receiver
from mirror.wire import without_query

T = TypeVar("T")

_BUFFER_BYTES = 256 * 1024
_MAX_REDIRECTS = 8
_TICK_S = 0.5
_EARNED_AHEAD_S = 0.1
_USER_AGENT = f"kling-mirror/{__version__}"
_HTTP = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
_HOPELESS = frozenset(
    (
        pycurl.E_URL_MALFORMAT,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CACERT_BADFILE,
    )
)


class Transfers:
    """The thread that moves files. A context manager: leaving it ends every transfer.

    Args:
        jobs: connections, at the most.
        stall_timeout_s: no byte for so long cuts a transfer.
        limit_rate: bytes per second over all transfers, or None.
        max_size: bytes of a file, at the most, or None.
        rules: where URLs and redirects may lead.
        room: called with the bytes that are announced and not yet here, of all transfers, before
            a file is begun and now and then; what it raises ends the transfer.
        on_bytes: called with the count of every chunk that arrives, from the thread.
    """

    def __init__(
        self,
        *,
        jobs: int,
        stall_timeout_s: float,
        limit_rate: int | None,
        max_size: int | None,
        rules: UrlRules,
        room: Callable[[int], None],
        on_bytes: Callable[[int], None],
    ) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._limit_rate = limit_rate
        self._max_size = max_size
        self._rules = rules
        self._ca_file = os.environ.get("SSL_CERT_FILE") or certifi.where()
        self._proxies = urllib.request.getproxies_environment()
        self._opened: list[socket.socket] = []
        self._room = room
        self._on_bytes = on_bytes
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, jobs)
        self._multi.setopt(pycurl.M_MAXCONNECTS, jobs)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._idle: list[pycurl.Curl] = []
        self._active: dict[pycurl.Curl, Answer[Any]] = {}
        self._due: float | None = None
        self._free_at = 0.0
        self._paused: collections.deque[pycurl.Curl] = collections.deque()
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._orders: collections.deque[Callable[[], None]] = collections.deque()
        self._is_woken = False
        self._finished: list[tuple[Answer[Any], object]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._drive, name="transfers", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End every transfer, keeping what can be resumed, and the thread."""
        self._order(self._close)
        self._thread.join()

    async def fetch(
        self,
        url: str,
        partial: Partial,
        *,
        resume: Resume | None = None,
        known_etag: str | None = None,
    ) -> Received:
        """Fetch one URL into one partial file.

        Args:
            url: http or https; redirects stay there, and never leave https.
            partial: where the bytes go.
            resume: what can be continued; its note bears a validator.
            known_etag: of a copy that may still be right; a 304 is then a result.

        Raises:
            FetchError: no complete and right file came; says whether to try again.
            DiskError: the bytes could not be written.
        """
        transfer = Receiver(
            url=self._rules.checked(url),
            noted_url=without_query(url),
            partial=partial,
            resume=resume,
            known_etag=known_etag,
            check_room=self._check_room,
            max_size=self._max_size,
            future=asyncio.get_running_loop().create_future(),
        )
        return await self._outcome(transfer)

    async def probe(self, url: str, *, start: int, count: int) -> Sample:
        """Fetch a few bytes of one URL, and what its headers say.

        Args:
            url: as for `fetch`.
            start: the first byte that is wanted.
            count: how many are.

        Raises:
            FetchError: no such part came; says whether to try again.
        """
        future: asyncio.Future[Sample] = asyncio.get_running_loop().create_future()
        prober = Prober(url=self._rules.checked(url), start=start, count=count, future=future)
        try:
            return await self._outcome(prober)
        except EnoughError:
            return prober.result()

    async def _outcome(self, transfer: Answer[T]) -> T:
        self._order(lambda: self._start(transfer))
        try:
            return await transfer.future
        except asyncio.CancelledError:
            self._order(lambda: self._abandon(transfer))
            raise

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        if not self._is_woken:  # one byte for all orders that are given until it looks
            self._is_woken = True
            with contextlib.suppress(OSError):  # closed: it has ended
                self._wake_out.send(b"\0")

    # All below runs in the thread. libcurl's event bits (1 read, 2 write) are the selectors' own.

    def _drive(self) -> None:
        while not self._closing:
            for key, events in self._selector.select(self._timeout_s()):
                if key.fileobj is self._wake_in:
                    self._take_orders()
                else:
                    self._multi.socket_action(key.fd, events)
            if self._due is not None and self._due <= time.monotonic():
                self._due = None
                self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            while self._opened:  # libcurl has its own duplicate of each
                self._opened.pop().close()
            self._resume_paused()
            self._reap()
            self._cut_stalled()
            self._report()
        self._multi.close()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _timeout_s(self) -> float | None:
        """How long to wait for sockets and orders: None is until one of them moves."""
        now = time.monotonic()
        waits = [_TICK_S] if self._active else []
        if self._due is not None:
            waits.append(max(0.0, self._due - now))
        if self._paused:
            waits.append(max(0.0, self._free_at - now))
        return min(waits, default=None)

    def _take_orders(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_in.recv(4096)
        self._is_woken = False
        while self._orders:
            self._orders.popleft()()

    def _watch_socket(self, what: int, descriptor: int, *_: object) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(descriptor)
        if what != pycurl.POLL_REMOVE:
            self._selector.register(descriptor, what)

    def _set_timer(self, milliseconds: int) -> None:
        self._due = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def _resume_paused(self) -> None:
        """Under a limit, let waiting transfers have what has been earned since, each in turn."""
        while self._paused and self._free_at <= time.monotonic():
            curl = self._paused.popleft()
            self._active[curl].moved_at = time.monotonic()
            curl.pause(pycurl.PAUSE_CONT)  # it may deliver at once, and pause again

    def _start(self, transfer: Answer[Any]) -> None:
        curl = self._idle.pop() if self._idle else pycurl.Curl()
        curl.setopt(pycurl.URL, transfer.url)
        curl.setopt(pycurl.PROTOCOLS, _HTTP)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(self._stall_timeout_s * 1000))
        buffer_bytes = 16384 if self._limit_rate is not None else _BUFFER_BYTES
        curl.setopt(pycurl.BUFFERSIZE, buffer_bytes)
        curl.setopt(pycurl.CAINFO, self._ca_file)
        curl.setopt(pycurl.USERAGENT, _USER_AGENT)
        curl.setopt(pycurl.HTTPHEADER, transfer.request_headers())
        curl.setopt(pycurl.HEADERFUNCTION, transfer.on_header)
        proxy = self._proxy_for(transfer.url)
        curl.setopt(pycurl.PROXY, proxy)
        if not proxy:  # a proxy is the user's own choice, and resolves names itself
            curl.setopt(pycurl.OPENSOCKETFUNCTION, self._socket_opener(transfer))
        curl.setopt(pycurl.WRITEFUNCTION, self._body_taker(curl, transfer))
        transfer.moved_at = time.monotonic()
        self._active[curl] = transfer
        self._multi.add_handle(curl)

    def _proxy_for(self, url: str) -> str:
        """The proxy that the environment names for a URL, or "" for none."""
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme.lower()) or self._proxies.get("all") or ""
        host = parts.netloc.rpartition("@")[2]
        return "" if proxy and urllib.request.proxy_bypass(host) else proxy

    def _socket_opener(self, transfer: Answer[Any]) -> Callable[..., socket.socket | int]:
        """Looks at the address that a name led to, at the only moment when that is certain."""

        def open_socket(_: int, address: Any) -> socket.socket | int:  # noqa: ANN401 - pycurl's
            try:
                self._rules.check_address(str(address.addr[0]))
                opened = socket.socket(address.family, address.socktype, address.protocol)
            except MirrorError as error:
                transfer.error = error
            except OSError as error:
                transfer.error = FetchError(f"no socket: {error.strerror}")
            else:
                self._opened.append(opened)
                return opened
            return pycurl.SOCKET_BAD

        return open_socket

    def _body_taker(
        self, curl: pycurl.Curl, transfer: Answer[Any]
    ) -> Callable[[bytes], int | None]:
        def on_body(data: bytes) -> int | None:
            now = time.monotonic()
            if self._limit_rate is not None:
                if self._free_at > now:
                    self._paused.append(curl)
                    return pycurl.WRITEFUNC_PAUSE
                self._free_at = (
                    max(self._free_at, now - _EARNED_AHEAD_S) + len(data) / self._limit_rate
                )
            transfer.moved_at = now
            if transfer.is_file:
                self._on_bytes(len(data))
            return transfer.on_body(data)

        return on_body

    def _check_room(self) -> None:
        """See that all that is announced and still to come fits on the disk."""
        self._room(sum(max(0, it.announced - it.received) for it in self._active.values()))

    def _reap(self) -> None:
        left = 1
        while left and self._active:
            left, complete, broken = self._multi.info_read()
            for curl in complete:
                self._complete(curl)
            for curl, code, message in broken:
                transfer = self._release(curl)
                text = message or f"libcurl's error {code}"
                error = FetchError(text, retryable=code not in _HOPELESS)
                self._finish(transfer, transfer.error or error)

    def _complete(self, curl: pycurl.Curl) -> None:
        redirect = curl.getinfo(pycurl.REDIRECT_URL)
        transfer = self._release(curl)
        try:
            if redirect:
                self._follow(transfer, redirect)
            else:
                transfer.close(failed=False)
                self._finish(transfer, transfer.result())
        except MirrorError as error:
            self._finish(transfer, error)
        except OSError as error:
            self._finish(transfer, disk_error(error, transfer.where))

    def _follow(self, transfer: Answer[Any], redirect: str) -> None:
        url = self._rules.checked(redirect)
        if transfer.url.lower().startswith("https:") and not url.lower().startswith("https:"):
            raise FetchError("a redirect would leave https", retryable=False)
        transfer.redirects += 1
        if transfer.redirects > _MAX_REDIRECTS:
            raise FetchError("too many redirects", retryable=False)
        transfer.url = url
        self._start(transfer)

    def _cut_stalled(self) -> None:
        limit = time.monotonic() - self._stall_timeout_s
        for curl in [curl for curl, it in self._active.items() if it.moved_at < limit]:
            if curl in self._paused:
                continue  # it is we who wait
            text = f"stalled: no byte for {self._stall_timeout_s:g} s"
            self._finish(self._release(curl), FetchError(text))

    def _abandon(self, transfer: Answer[Any]) -> None:
        for curl in [curl for curl, it in self._active.items() if it is transfer]:
            self._release(curl)
        transfer.close(failed=True)

    def _release(self, curl: pycurl.Curl) -> Answer[Any]:
        transfer = self._active.pop(curl)
        with contextlib.suppress(ValueError):
            self._paused.remove(curl)
        self._multi.remove_handle(curl)
        curl.reset()
        self._idle.append(curl)
        return transfer

    def _finish(self, transfer: Answer[Any], outcome: object) -> None:
        transfer.close(failed=isinstance(outcome, MirrorError))
        self._finished.append((transfer, outcome))

    def _report(self) -> None:
        """Hand over what is finished, all at once: waking the loop is what costs."""
        if self._finished:
            finished, self._finished = self._finished, []
            loop = finished[0][0].future.get_loop()
            with contextlib.suppress(RuntimeError):  # the loop ended: nobody waits any more
                loop.call_soon_threadsafe(_resolve, finished)

    def _close(self) -> None:
        for transfer in list(self._active.values()):
            self._abandon(transfer)
        for curl in self._idle:
            curl.close()
        self._closing = True


def _resolve(finished: list[tuple[Answer[Any], object]]) -> None:
    for transfer, outcome in finished:
        if transfer.future.done():
            continue
        if isinstance(outcome, MirrorError):
            transfer.future.set_exception(outcome)
        else:
            transfer.future.set_result(outcome)
