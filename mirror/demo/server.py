"""An HTTP server on loopback, over real sockets, that can be stopped with all its connections."""

import json
import socketserver
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from socket import SHUT_RDWR, socket
from threading import Event, Lock, Thread, current_thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

HOST = "127.0.0.1"

_JOIN_BYTES = 64 * 1024
"""A body up to this size leaves in one packet train with its head; a larger one is not copied."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was received."""

    method: str
    path: str
    """As sent: percent-escapes are kept, the query is not."""
    query: dict[str, str]
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes = b""


@dataclass(slots=True)
class Response:
    """One answer. `send` adds Date, and Content-Length unless the headers say how long it is."""

    status: int
    headers: dict[str, str]
    body: bytes | memoryview
    reason: str | None = None

    def head(self) -> bytes:
        """Return the status line and the headers, up to and with the empty line."""
        phrase = BaseHTTPRequestHandler.responses.get(self.status, ("",))[0]
        headers = {"Date": formatdate(usegmt=True), **self.headers}
        if self.has_body and not headers.keys() & {"Content-Length", "Transfer-Encoding"}:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"HTTP/1.1 {self.status} {phrase if self.reason is None else self.reason}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    @property
    def has_body(self) -> bool:
        """Whether HTTP lets an answer of this status have a body at all."""
        return self.status not in {204, 304}


def json_response(status: int, value: object) -> Response:
    """Make an answer out of a JSON value."""
    return Response(status, {"Content-Type": "application/json"}, json.dumps(value).encode())


class LoopbackServer:
    """An HTTP server on a free port of loopback, unless a port is given; it is a context manager.

    A subclass answers in `respond`.
    """

    def __init__(self, *, port: int = 0) -> None:
        self.port = port
        """The port in use once it has started; it starts there again after a stop."""
        self.requests: list[Request] = []
        """All requests so far, in the order of their arrival."""
        self.closing = Event()
        """Set when the server stops; an override that delays an answer waits on it."""
        self._server: _Server | None = None
        self._thread: Thread | None = None

    @property
    def url(self) -> str:
        """The scheme, host and port.

        Raises:
            RuntimeError: The server has not been started, so it has no port yet.
        """
        if not self.port:
            raise RuntimeError("the server has no port before it is started")
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self.closing.clear()
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.02,), name="loopback-server", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.closing.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server.hang_up()
            self._server = self._thread = None

    def respond(self, request: Request) -> Response:
        """Answer a request."""
        raise NotImplementedError

    def send(self, handler: BaseHTTPRequestHandler, response: Response) -> None:
        """Write an answer to the socket, at once: `handler.wfile` does not buffer."""
        head = response.head()
        if handler.command == "HEAD" or not response.has_body:
            handler.wfile.write(head)
        elif len(response.body) <= _JOIN_BYTES:
            handler.wfile.write(b"".join((head, response.body)))
        else:
            handler.wfile.write(head)
            handler.wfile.write(response.body)
        if response.headers.get("Connection") == "close":
            handler.close_connection = True


class _Server(socketserver.ThreadingTCPServer):
    """Accept connections, each in a thread of its own, and close them all in the end."""

    allow_reuse_address = sys.platform != "win32"  # there it would share the port with others
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, owner: LoopbackServer) -> None:
        self.owner = owner
        self._connections: dict[Thread, socket] = {}
        self._lock = Lock()
        super().__init__((HOST, owner.port), _Handler)

    def process_request(self, request: socket, client_address: Any) -> None:  # type: ignore[override]  # noqa: ANN401
        thread = Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._lock:
            self._connections[thread] = request
        thread.start()

    def process_request_thread(self, request: socket, client_address: Any) -> None:  # type: ignore[override]  # noqa: ANN401
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                del self._connections[current_thread()]

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Print what went wrong in a step. A client may go away: that is not printed."""
        if not isinstance(sys.exception(), ConnectionError) and not self.owner.closing.is_set():
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """End all connections and waits for their threads."""
        with self._lock:
            connections = dict(self._connections)
        for connection in connections.values():
            with suppress(OSError):  # it has just ended by itself
                connection.shutdown(SHUT_RDWR)
        for thread in connections:
            thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    """Read the requests of one connection, and hand each to the server's owner."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else an answer in two writes waits for the client's ACK

    def answer(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        if "transfer-encoding" in headers:
            self.close_connection = True  # no client of ours sends chunks
        request = Request(
            self.command,
            path,
            dict(parse_qsl(query, keep_blank_values=True)),
            headers,
            self.rfile.read(int(headers.get("content-length", "0"))),
        )
        owner = self.server.owner
        owner.requests.append(request)
        owner.send(self, owner.respond(request))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: `LoopbackServer.requests` is the log."""
