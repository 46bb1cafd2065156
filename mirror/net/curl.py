"""libcurl's multi interface inside the event loop: requests go in, their outcomes come out.

The only module that speaks to libcurl. Its sockets and its timer are the loop's own, its callbacks
hand headers and bodies to an `Answer`; it decides nothing about what may be asked, or asked again.
"""

import asyncio
import functools
import socket
from collections.abc import Callable, KeysView
from typing import Any

import pycurl

from mirror import __version__
from mirror.errors import FetchError, MirrorError
from mirror.net.response import Answer

PAUSE = pycurl.WRITEFUNC_PAUSE
"""A body callback returns it to get the same bytes again after `Curl.go_on`."""
_HTTP = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
_TRUST = (
    (pycurl.CAINFO, pycurl.CAPATH),
    (pycurl.PROXY_CAINFO, pycurl.PROXY_CAPATH),
)
_HOPELESS = frozenset(
    (
        pycurl.E_URL_MALFORMAT,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CACERT_BADFILE,
    )
)


class Curl:
    """Sends requests, many at a time. Call `close` in the end.

    Args:
        connections: at the most.
        buffer_bytes: how much libcurl may hand over at once.
        connect_timeout_s: how long a connection may take to come about.
        ca_file: certificates that are trusted, in one file, or None.
        ca_folder: certificates that are trusted, in a folder, or None.
        check_address: called with a request and the address that its host's name led to, at the
            only moment when that is certain; what it raises ends the request.
        on_done: called with each request that is over, the URL that it was redirected to or None,
            and libcurl's error or None.
    """

    def __init__(
        self,
        *,
        connections: int,
        buffer_bytes: int,
        connect_timeout_s: float,
        ca_file: str | None,
        ca_folder: str | None,
        check_address: Callable[[Answer[Any], str], None],
        on_done: Callable[[Answer[Any], str | None, FetchError | None], None],
    ) -> None:
        self._buffer_bytes = buffer_bytes
        self._connect_timeout_ms = int(connect_timeout_s * 1000)
        self._ca_file = ca_file
        self._ca_folder = ca_folder
        self._check_address = check_address
        self._on_done = on_done
        self._loop = asyncio.get_running_loop()
        self._idle: list[pycurl.Curl] = []
        self._answers: dict[pycurl.Curl, Answer[Any]] = {}
        self._handles: dict[Answer[Any], pycurl.Curl] = {}
        self._opened: list[socket.socket] = []
        self._watched: dict[int, int] = {}
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    @property
    def active(self) -> KeysView[Answer[Any]]:
        """The requests that are under way."""
        return self._handles.keys()

    def start(
        self, answer: Answer[Any], *, proxy: str, on_body: Callable[[bytes], int | None]
    ) -> None:
        """Send a request.

        Args:
            answer: says what is asked for, and takes the header.
            proxy: its URL, or "" for none.
            on_body: takes the body's bytes; returns None, `PAUSE`, or -1 to end the request.

        Raises:
            FetchError: libcurl does not take it.
        """
        curl = self._idle.pop() if self._idle else self._new_handle()
        headers = [line.encode("latin-1", "replace") for line in answer.request_headers()]
        try:
            curl.setopt(pycurl.URL, answer.url)
            curl.setopt(pycurl.HTTPHEADER, headers)
            curl.setopt(pycurl.HEADERFUNCTION, answer.header_lines.append)
            curl.setopt(pycurl.WRITEFUNCTION, on_body)
            curl.setopt(pycurl.PROXY, proxy)
        except (pycurl.error, ValueError) as error:
            curl.close()
            text = f"libcurl does not take the request: {error}"
            raise FetchError(text, retryable=False) from None
        self._answers[curl] = answer
        self._handles[answer] = curl
        self._multi.add_handle(curl)  # it sets the timer, and so begins in the loop's next turn

    def go_on(self, answer: Answer[Any]) -> None:
        """Offer a paused request its bytes again.

        Raises:
            FetchError: they were refused.
        """
        try:
            self._handles[answer].pause(pycurl.PAUSE_CONT)
        except pycurl.error as error:
            raise FetchError(str(error.args[-1])) from None

    def stop(self, answer: Answer[Any]) -> None:
        """End a request, if it is under way; `on_done` is not called."""
        if (curl := self._handles.get(answer)) is not None:
            self._release(curl)

    def close(self) -> None:
        """End all requests, and close everything."""
        for curl in tuple(self._answers):
            self._release(curl)
        for curl in self._idle:
            curl.close()
        if self._timer is not None:
            self._timer.cancel()
        for descriptor in tuple(self._watched):  # while the sockets are still open
            self._watch_socket(pycurl.POLL_REMOVE, descriptor)
        self._multi.close()

    def _new_handle(self) -> pycurl.Curl:
        """A handle with the options that all requests share."""
        curl = pycurl.Curl()
        curl.setopt(pycurl.PROTOCOLS, _HTTP)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, self._connect_timeout_ms)
        curl.setopt(pycurl.BUFFERSIZE, self._buffer_bytes)
        for option, folder_option in _TRUST:
            curl.unsetopt(option)  # libcurl may have been built with a file of its own
            if self._ca_file is not None:
                curl.setopt(option, self._ca_file)
            if self._ca_folder is not None:
                curl.setopt(folder_option, self._ca_folder)
        curl.setopt(pycurl.NOPROXY, "")  # the caller chooses the proxy
        curl.setopt(pycurl.USERAGENT, f"kling-mirror/{__version__}")
        curl.setopt(pycurl.OPENSOCKETFUNCTION, functools.partial(self._open_socket, curl))
        return curl

    def _open_socket(
        self,
        curl: pycurl.Curl,
        _: int,
        address: Any,  # noqa: ANN401 - pycurl's
    ) -> socket.socket | int:
        answer = self._answers[curl]
        try:
            self._check_address(answer, str(address.addr[0]))
            opened = socket.socket(address.family, address.socktype, address.protocol)
        except MirrorError as error:
            answer.error = error
        except OSError as error:
            answer.error = FetchError(f"no socket: {error.strerror}")
        else:
            self._opened.append(opened)
            return opened
        return pycurl.SOCKET_BAD

    def _release(self, curl: pycurl.Curl) -> Answer[Any]:
        answer = self._answers.pop(curl)
        del self._handles[answer]
        self._multi.remove_handle(curl)
        self._idle.append(curl)
        return answer

    # What libcurl asks of the loop, and the loop of libcurl.

    def _watch_socket(self, what: int, descriptor: int, *_: object) -> None:
        had = self._watched.pop(descriptor, 0)
        wanted = 0 if what == pycurl.POLL_REMOVE else what
        if wanted:
            self._watched[descriptor] = wanted
        if wanted & ~had & pycurl.POLL_IN:
            self._loop.add_reader(descriptor, self._act, descriptor, pycurl.CSELECT_IN)
        if wanted & ~had & pycurl.POLL_OUT:
            self._loop.add_writer(descriptor, self._act, descriptor, pycurl.CSELECT_OUT)
        if had & ~wanted & pycurl.POLL_IN:
            self._loop.remove_reader(descriptor)
        if had & ~wanted & pycurl.POLL_OUT:
            self._loop.remove_writer(descriptor)

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
        """Call libcurl if its timer has expired and was not put off meanwhile."""
        self._timer = None
        if self._due is None:
            return
        if self._due > self._loop.time():
            self._timer = self._loop.call_at(self._due, self._on_timer)
            return
        self._due = None
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, descriptor: int, events: int) -> None:
        """Let libcurl continue, and take the finished requests."""
        self._multi.socket_action(descriptor, events)
        while self._opened:  # libcurl has its own duplicate of each
            self._opened.pop().close()
        left = 1
        while left and self._answers:
            left, complete, broken = self._multi.info_read()
            for curl in complete:
                redirect = curl.getinfo_raw(pycurl.REDIRECT_URL)
                to = redirect.decode(errors="replace") if redirect else None
                self._on_done(self._release(curl), to, None)
            for curl, code, message in broken:
                text = message or f"libcurl's error {code}"
                error = FetchError(text, retryable=code not in _HOPELESS)
                self._on_done(self._release(curl), None, error)
