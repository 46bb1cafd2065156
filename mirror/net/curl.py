"""One URL → one checked partial file, many at a time, on libcurl's multi interface.

libcurl lives in the event loop: its sockets are the loop's, its callbacks take the bytes. The loop
knows no asset, no manifest and no final name here; what is finished is complete and checked, but
not yet durable.
"""

import asyncio
import collections
import contextlib
import functools
import logging
import os
import selectors
import socket
import urllib.request
from collections.abc import Callable
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import certifi
import pycurl

from mirror import __version__
from mirror.errors import FetchError, MirrorError
from mirror.models import FileFacts
from mirror.net.decode import without_query
from mirror.net.download import Received, Receiver, Writers
from mirror.net.probe import Prober, RemoteFile
from mirror.net.response import Answer
from mirror.net.urls import UrlRules
from mirror.storage.spool import Partial, Resume

T = TypeVar("T")

_log = logging.getLogger(__name__)

_SELECTS = issubclass(selectors.DefaultSelector, selectors.SelectSelector)
"""On Windows: there, waiting fails if a socket was closed meanwhile."""
_BUFFER_BYTES = 256 * 1024
_MAX_REDIRECTS = 8
_TICK_S = 0.5
_NEARLY_FULL_BYTES = 256 << 20
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
    """Moves files, in the running event loop. A context manager: leaving it ends every transfer.

    Args:
        jobs: connections, at the most.
        stall_timeout_s: no byte for so long cuts a transfer.
        limit_rate: bytes per second over all transfers, or None.
        max_size: bytes of a file, at the most, or None.
        rules: where URLs and redirects may lead.
        room: called with the bytes that are announced and not yet here, of all transfers, before
            a file is begun and now and then; returns how many more would fit; what it raises ends
            the transfer.
        on_bytes: called with the count of every chunk that arrives.
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
        self._limit_rate = limit_rate
        self._max_size = max_size
        self._rules = rules
        self._ca_file = os.environ.get("SSL_CERT_FILE") or certifi.where()
        self._proxies = urllib.request.getproxies_environment()
        self._opened: list[socket.socket] = []
        self._room = room
        self._spare_bytes = 0
        self._asked_at = 0.0
        self._on_bytes = on_bytes
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, jobs)
        self._multi.setopt(pycurl.M_MAXCONNECTS, jobs)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._loop = asyncio.get_running_loop()
        self._writers = Writers()
        self._idle: list[pycurl.Curl] = []
        self._active: dict[pycurl.Curl, Answer[Any]] = {}
        self._watched: dict[int, int] = {}
        self._lapsed: dict[int, int] = {}
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._earner: asyncio.TimerHandle | None = None
        self._free_at = 0.0
        self._paused: collections.deque[pycurl.Curl] = collections.deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End every transfer, keeping what can be resumed."""
        for transfer in list(self._active.values()):
            self._abandon(transfer)
        self._writers.close()
        for curl in self._idle:
            curl.close()
        for handle in (self._timer, self._ticker, self._earner):
            if handle is not None:
                handle.cancel()
        self._multi.close()
        for descriptor in tuple(self._watched):
            self._watch_socket(pycurl.POLL_REMOVE, descriptor)
        self._forget_lapsed()

    async def fetch(
        self,
        url: str,
        partial: Partial,
        *,
        resume: Resume | None = None,
        known: FileFacts | None = None,
    ) -> Received:
        """Fetch one URL into one partial file.

        Args:
            url: http or https; redirects stay there, and never leave https.
            partial: where the bytes go.
            resume: what can be continued; its note bears a validator.
            known: of a copy that may still be right, with its ETag; they are the result's facts
                where the server says so, and the partial file stays empty.

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
            writers=self._writers,
        )
        return await self._answer(transfer, url)

    async def probe(self, url: str) -> RemoteFile:
        """Ask what the headers say of a file.

        Args:
            url: as for `fetch`.

        Raises:
            FetchError: they do not say it; says whether to try again.
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

    # What libcurl asks of the loop, and the loop of libcurl.

    def _watch_socket(self, what: int, descriptor: int, *_: object) -> None:
        if what == pycurl.POLL_REMOVE:
            # The next file often comes through the same connection, in a moment.
            self._lapsed[descriptor] = self._watched.pop(descriptor, 0)
            if _SELECTS:
                self._forget_lapsed()
            return
        had = self._lapsed.pop(descriptor, 0) or self._watched.get(descriptor, 0)
        self._watched[descriptor] = what
        if what != had:
            self._change_watch(descriptor, had, what)

    def _change_watch(self, descriptor: int, had: int, wanted: int) -> None:
        if wanted & ~had & pycurl.POLL_IN:
            self._loop.add_reader(descriptor, self._on_ready, descriptor, pycurl.CSELECT_IN)
        if wanted & ~had & pycurl.POLL_OUT:
            self._loop.add_writer(descriptor, self._on_ready, descriptor, pycurl.CSELECT_OUT)
        if had & ~wanted & pycurl.POLL_IN:
            self._loop.remove_reader(descriptor)
        if had & ~wanted & pycurl.POLL_OUT:
            self._loop.remove_writer(descriptor)

    def _forget_lapsed(self) -> None:
        """Stop watching what libcurl has lost interest in: it may be closed, its number reused."""
        while self._lapsed:
            descriptor, had = self._lapsed.popitem()
            for events in (pycurl.POLL_IN, pycurl.POLL_OUT):
                with contextlib.suppress(OSError):  # the system has forgotten it already
                    self._change_watch(descriptor, had & events, 0)

    def _on_ready(self, descriptor: int, events: int) -> None:
        if descriptor in self._lapsed:
            self._change_watch(descriptor, self._lapsed.pop(descriptor), 0)
        else:
            self._act(descriptor, events)

    def _set_timer(self, milliseconds: int) -> None:
        if milliseconds < 0:
            self._due = None
            return
        self._due = self._loop.time() + milliseconds / 1000
        if self._timer is None or self._timer.when() > self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._due, self._on_timer)

    def _on_timer(self) -> None:
        """The time that libcurl wants to be called at has come, or was put off meanwhile."""
        self._timer = None
        if self._due is None:
            return
        if self._due > self._loop.time():
            self._timer = self._loop.call_at(self._due, self._on_timer)
            return
        self._due = None
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, descriptor: int, events: int) -> None:
        """Let libcurl go on, and take what it has finished."""
        self._multi.socket_action(descriptor, events)
        while self._opened:  # libcurl has its own duplicate of each
            self._opened.pop().close()
        left = 1
        while left and self._active:
            left, complete, broken = self._multi.info_read()
            for curl in complete:
                self._complete(curl)
            for curl, code, message in broken:
                transfer = self._release(curl)
                text = message or f"libcurl's error {code}"
                error = FetchError(text, retryable=code not in _HOPELESS)
                transfer.settle(transfer.error or error)

    def _tick(self) -> None:
        """Now and then: cut what stalls."""
        self._ticker = None
        limit = self._loop.time() - self._stall_timeout_s
        for curl in [curl for curl, it in self._active.items() if it.moved_at < limit]:
            if curl in self._paused:
                continue  # it is we who wait
            text = f"stalled: no byte for {self._stall_timeout_s:g} s"
            self._release(curl).settle(FetchError(text))
        self._keep_ticking()

    def _keep_ticking(self) -> None:
        if self._active and self._ticker is None:
            self._ticker = self._loop.call_later(_TICK_S, self._tick)

    def _resume_paused(self) -> None:
        """Under a limit, let waiting transfers have what has been earned since, each in turn."""
        self._earner = None
        while self._paused and self._free_at <= self._loop.time():
            curl = self._paused.popleft()
            self._active[curl].moved_at = self._loop.time()
            try:
                curl.pause(pycurl.PAUSE_CONT)  # it may deliver at once, and pause again
            except pycurl.error as error:  # or deliver what its taker refuses
                transfer = self._release(curl)
                transfer.settle(transfer.error or FetchError(str(error.args[-1])))
        if self._paused:
            self._wait_for_earnings()

    def _wait_for_earnings(self) -> None:
        if self._earner is None:
            self._earner = self._loop.call_at(self._free_at, self._resume_paused)

    def _start(self, transfer: Answer[Any]) -> None:
        curl = self._idle.pop() if self._idle else self._new_handle()
        curl.setopt(pycurl.URL, transfer.url)
        headers = [line.encode("latin-1", "replace") for line in transfer.request_headers()]
        curl.setopt(pycurl.HTTPHEADER, headers)
        curl.setopt(pycurl.HEADERFUNCTION, transfer.header_lines.append)
        curl.setopt(pycurl.PROXY, self._proxy_for(transfer.url))
        limited = self._limit_rate is not None
        curl.setopt(
            pycurl.WRITEFUNCTION, self._limiter(curl, transfer) if limited else transfer.on_body
        )
        transfer.moved_at = self._loop.time()
        self._active[curl] = transfer
        self._multi.add_handle(curl)  # it sets the timer, and so begins in the loop's next turn
        self._keep_ticking()

    def _new_handle(self) -> pycurl.Curl:
        """A handle with all that is the same for every transfer."""
        curl = pycurl.Curl()
        curl.setopt(pycurl.PROTOCOLS, _HTTP)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(self._stall_timeout_s * 1000))
        buffer_bytes = 16384 if self._limit_rate is not None else _BUFFER_BYTES
        curl.setopt(pycurl.BUFFERSIZE, buffer_bytes)
        curl.setopt(pycurl.CAINFO, self._ca_file)
        curl.setopt(pycurl.NOPROXY, "")  # `_proxy_for` decides, and the address rules with it
        curl.setopt(pycurl.USERAGENT, _USER_AGENT)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, functools.partial(self._open_socket, curl))
        return curl

    def _proxy_for(self, url: str) -> str:
        """The proxy that the environment names for a URL, or "" for none."""
        if not self._proxies:
            return ""
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme.lower()) or self._proxies.get("all") or ""
        host = parts.netloc.rpartition("@")[2]
        return "" if proxy and urllib.request.proxy_bypass(host) else proxy

    def _open_socket(
        self,
        curl: pycurl.Curl,
        _: int,
        address: Any,  # noqa: ANN401 - pycurl's
    ) -> socket.socket | int:
        """Looks at the address that a name led to, at the only moment when that is certain."""
        self._forget_lapsed()
        transfer = self._active[curl]
        try:
            if not self._proxy_for(transfer.url):  # a proxy is the user's own choice
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

    def _limiter(self, curl: pycurl.Curl, transfer: Answer[Any]) -> Callable[[bytes], int | None]:
        """What takes bytes as fast as the limit allows, over all transfers."""
        rate = self._limit_rate or 0

        def on_body(data: bytes) -> int | None:
            now = self._loop.time()
            if self._free_at > now:
                self._wait_for_earnings()
                self._paused.append(curl)
                return pycurl.WRITEFUNC_PAUSE
            self._free_at = max(self._free_at, now - _EARNED_AHEAD_S) + len(data) / rate
            return transfer.on_body(data)

        return on_body

    def _check_room(self, announced: int) -> None:
        """See that all that is announced and still to come fits on the disk.

        The disk is asked again once much has come in, or time has passed.
        """
        now = self._loop.time()
        self._spare_bytes -= announced
        if self._spare_bytes < _NEARLY_FULL_BYTES or now > self._asked_at + _TICK_S:
            self._asked_at = now
            active = tuple(self._active.values())  # at once: the writer's thread asks, too
            self._spare_bytes = self._room(sum(max(0, it.announced - it.received) for it in active))

    def _complete(self, curl: pycurl.Curl) -> None:
        redirect = curl.getinfo_raw(pycurl.REDIRECT_URL)
        transfer = self._release(curl)
        if not redirect:
            transfer.settle(None)
            return
        try:
            self._follow(transfer, redirect.decode(errors="replace"))
        except MirrorError as error:
            transfer.settle(error)

    def _follow(self, transfer: Answer[Any], redirect: str) -> None:
        url = self._rules.checked(redirect)
        if transfer.url.lower().startswith("https:") and not url.lower().startswith("https:"):
            raise FetchError("a redirect would leave https", retryable=False)
        transfer.redirects += 1
        if transfer.redirects > _MAX_REDIRECTS:
            raise FetchError("too many redirects", retryable=False)
        transfer.url = url
        self._start(transfer)

    def _abandon(self, transfer: Answer[Any]) -> None:
        for curl in [curl for curl, it in self._active.items() if it is transfer]:
            self._release(curl)
        transfer.abandon()

    def _release(self, curl: pycurl.Curl) -> Answer[Any]:
        transfer = self._active.pop(curl)
        if curl in self._paused:
            self._paused.remove(curl)
        self._multi.remove_handle(curl)
        self._idle.append(curl)
        return transfer
