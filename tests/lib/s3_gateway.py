"""A gateway before an S3 service, on loopback, that does to requests what networks and bugs do."""

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_CONDITIONS = ("if-match", "if-none-match")
_OF_THE_CONNECTION = ("connection", "transfer-encoding", "content-length", "keep-alive")


class Gateway:
    """Passes requests on.

    Args:
        url: of the service.
        keeps_conditions: whether conditions of a request reach the service.

    Attributes:
        before: called with method and path before a request is passed on; may wait.
        loses: asked with method and path once the service has answered: whether the client gets to
            see it, or only that the connection ends.
        answers: asked with method and path: a status and an S3 error code, in place of passing
            the request on; or None.
        requests: method and path of each.
    """

    def __init__(self, url: str, *, keeps_conditions: bool = True) -> None:
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.loses: Callable[[str, str], bool] = lambda _method, _path: False
        self.answers: Callable[[str, str], tuple[int, str] | None] = lambda _method, _path: None
        self.requests: list[tuple[str, str]] = []
        self.keeps_conditions = keeps_conditions
        self.far = urlsplit(url).netloc
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.gateway = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    gateway: Gateway

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients leave."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _pass_on(self) -> None:
        gateway = self.server.gateway
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        gateway.requests.append((self.command, self.path))
        gateway.before(self.command, self.path)
        if (own := gateway.answers(self.command, self.path)) is not None:
            status, code = own
            error = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(error)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else error)
            return
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() != "connection"
            and (gateway.keeps_conditions or name.lower() not in _CONDITIONS)
        }
        far = http.client.HTTPConnection(gateway.far, timeout=60)
        far.request(self.command, self.path, body or None, headers)
        answer = far.getresponse()
        data = answer.read()
        if gateway.loses(self.command, self.path):
            self.close_connection = True
            far.close()
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_THE_CONNECTION:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(data)
        far.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - the base's names

    def log_message(self, *_: object) -> None:
        """Log nothing."""
